import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.shell.answers import safe_text


@given(st.text(st.characters(codec=None)))
def test_nothing_printable_can_act_on_a_terminal(text: str) -> None:
    assert safe_text.printable(text).isprintable()
    assert safe_text.name(text).isprintable()
    assert safe_text.identifier(text).isprintable()


@given(st.text(st.characters(exclude_characters="\0")))
def test_a_quoted_word_is_one_word_of_a_shell(word: str) -> None:
    assert shlex.split(safe_text.quoted(word), comments="#" not in word) == [word]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.bin", "plain.bin"),
        ("with space", "'with space'"),
        ("größe.bin", "größe.bin"),
        ("\x1b[2J", "\\x1b[2J"),
        ("exe.\u202etxt", "exe.\\u202etxt"),
        ("not-utf8\udcff", "not-utf8\\udcff"),
        ("\u3164\u2800", "\\u3164\\u2800"),
        ("data\u3164.bin", "data\\u3164.bin"),
    ],
)
def test_names_are_shown_as_typed_or_escaped(name: str, shown: str) -> None:
    assert safe_text.name(name) == shown


@pytest.mark.parametrize(
    ("user_id", "shown"),
    [
        ("ann", "ann"),
        ("ann@lab", "ann@lab"),
        ("\u0430nn", "\u0430nn (\\u0430nn)"),
        ("\uff41nn", "\uff41nn (\\uff41nn)"),
        ("a b", "'a b'"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202eann", "\\u202eann (\\u202eann)"),
    ],
)
def test_an_id_that_may_look_like_another_is_marked(user_id: str, shown: str) -> None:
    assert safe_text.identifier(user_id) == shown


COMPOSED, DECOMPOSED = "caf\u00e9.bin", "cafe\u0301.bin"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([COMPOSED, "b"], [COMPOSED, "b"]),
        ([COMPOSED, COMPOSED], [COMPOSED, COMPOSED]),
        ([DECOMPOSED, "b", COMPOSED], [f"{DECOMPOSED} (cafe\\u0301.bin)", "b", f"{COMPOSED} (caf\\xe9.bin)"]),
        (["a \u00e9", "a e\u0301"], ["'a \u00e9' (a \\xe9)", "'a e\u0301' (a e\\u0301)"]),
        (["Data", "data"], ["Data", "data"]),
    ],
    ids=ascii,
)
def test_names_of_one_list_that_look_the_same_are_marked(names: list[str], shown: list[str]) -> None:
    assert safe_text.file_names(names) == shown


def test_columns_are_aligned_by_what_a_terminal_shows() -> None:
    assert safe_text.table([("名前", "x"), ("abcd", "y"), ("e\u0301", "z")]) == "名前  x\nabcd  y\ne\u0301     z"
    assert safe_text.clipped("名前abc", 5) == "名前a"

import shlex
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import LocalError
from engine.shell.lines import begun_word, is_plain_comment, read_line, split_unfinished, split_words

WORDS = st.lists(st.text(st.characters(exclude_characters="\0")))


@given(WORDS)
def test_quoted_words_come_back(words: list[str]) -> None:
    assert split_words(shlex.join(words)) == words


@given(st.text())
def test_any_line_is_split_or_refused_with_a_sentence(line: str) -> None:
    with suppress(LocalError):
        split_words(line)


@given(WORDS, st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_the_word_under_the_cursor_is_told_from_the_finished_ones(words: list[str], last: str) -> None:
    finished, typed = split_unfinished(shlex.join([*words, last]))
    assert finished == words
    assert begun_word(typed) == last


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  # only a comment", []),
        ("login alice # not the password", ["login", "alice"]),
        ("upload_file take#2.wav lab", ["upload_file", "take#2.wav", "lab"]),
        (r"a\ b 'c d'\''e' " + '"f \\"g\\" \\$ \\h"', ["a b", "c d'e", 'f "g" $ \\h']),
        ("''", [""]),
        ("crlf line\r", ["crlf", "line"]),
        ("\ufefflogin alice", ["login", "alice"]),
        ("\ufeff", []),
        ("\tlogin \t alice  \t", ["login", "alice"]),
        ("login '#1'", ["login", "#1"]),
        (r"login \#1", ["login", "#1"]),
    ],
)
def test_quoting_is_that_of_a_posix_shell(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize("line", ["login 'alice", 'login "alice', "login alice\\", "login al\0ice"])
def test_what_cannot_be_split_is_refused(line: str) -> None:
    with pytest.raises(LocalError) as caught:
        split_words(line)
    assert caught.value.code == "quoting"


@pytest.mark.parametrize(
    ("text", "finished", "typed", "begun"),
    [
        ("lo", [], "lo", "lo"),
        ("login ", ["login"], "", ""),
        ('upload_file "my fi', ["upload_file"], '"my fi', "my fi"),
        (r"upload_file my\ fi", ["upload_file"], r"my\ fi", "my fi"),
        ("upload_file 'a b'c", ["upload_file"], "'a b'c", "a bc"),
    ],
)
def test_unfinished_quotes_are_understood_for_completion(
    text: str, finished: list[str], typed: str, begun: str
) -> None:
    assert split_unfinished(text) == (finished, typed)
    assert begun_word(typed) == begun


@pytest.mark.parametrize(
    ("line", "comment", "is_plain"),
    [
        ("login alice", "", True), ("login alice # why", "# why", True), ("login alice ## why", "## why", True),
        ("login alice #", "#", True), ("login alice #secret", "#secret", False), ("#secret", "#secret", False),
        ("login 'a #b'", "", True), ("login ##b", "##b", False),
    ],
)  # fmt: skip
def test_a_comment_is_kept_apart_and_may_have_been_a_word(line: str, comment: str, is_plain: bool) -> None:
    assert read_line(line).comment == comment
    assert is_plain_comment(comment) == is_plain


def test_utf16_is_named_as_what_it_is() -> None:
    with pytest.raises(LocalError, match="not UTF-8 text"):
        split_words("login alice".encode("utf-16").decode("utf-8", "surrogateescape"))

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.names import (
    BadName,
    check_file_name,
    check_id,
    check_new_file_name,
    check_new_id,
    choose_spelling,
    find_id,
    fold_id,
    is_blank_letter,
    normal_file_name,
    shown_id,
)

OLDER_IDS = ["ann.b-c_d@lab+1", "Ünal", "数据", "..", "-x", "--help", "_a", "\u0430nn", "\uff41nn"]
NOTHING_VISIBLE = [
    "\u3164", "\u2800", "\u200d", "\u200d\u200c", " ", "   ", "\u00a0", "\u3000", "\u00ad", "\ufeff", "\u115f\u1160",
    "\uffa0", "\u17b4", "\u2060", "\ufe0f", "\U000e0100", "\u034f", "\U000e0041", " \u3164\u200b ", "\u180e",
]  # fmt: skip


# ---------------------------------------------------------------- ids


@pytest.mark.parametrize("name", ["ann", "Ann", "ann.b-c_d", "7", "0.-_", "x" * 64])
def test_plain_letters_digits_and_three_marks_make_an_id(name: str) -> None:
    assert check_new_id("user id", name) == name
    assert check_id("user id", name) == name


@pytest.mark.parametrize("name", OLDER_IDS)
def test_an_older_id_can_be_named_but_not_made(name: str) -> None:
    assert check_id("user id", name) == name
    with pytest.raises(BadName, match="a user id is made of"):
        check_new_id("user id", name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\n", "a\u202eb", "x" * 65, "e\u0301", "\ud800", "a:b", "ann\n"])
def test_anything_else_makes_none(name: str) -> None:
    for check in (check_id, check_new_id):
        with pytest.raises(BadName, match="user id") as refused:
            check("user id", name)
        assert str(refused.value).isprintable()


@given(st.text(max_size=70))
def test_every_new_id_is_ascii_and_an_id_and_a_file_name_and_shown_as_it_is(name: str) -> None:
    try:
        check_new_id("user id", name)
    except BadName:
        return
    assert name.isascii()
    assert name[0].isalnum()
    assert len(name) <= 64
    assert check_id("user id", name) == check_new_file_name(name) == shown_id(name) == name


@given(st.text())
def test_every_accepted_id_is_also_a_safe_file_name(name: str) -> None:
    try:
        check_id("user id", name)
    except BadName:
        return
    if name not in (".", ".."):
        check_file_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Bob", "bob"), ("LAB.1", "lab.1"), ("Ünal", "ünal"), ("\uff22ob", "bob"), ("straße", "STRASSE"), ("\u212b", "å")],
)
def test_ids_that_differ_in_case_or_width_are_one(one: str, other: str) -> None:
    assert fold_id(one) == fold_id(other)


def test_ids_that_only_look_alike_are_two() -> None:
    assert fold_id("\u0430nn") != fold_id("ann")
    assert fold_id("a.b") != fold_id("a_b")


@given(st.text())
def test_folding_is_the_same_for_every_case_and_form_and_ends_at_once(name: str) -> None:
    folded = fold_id(name)
    assert fold_id(folded) == folded
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold_id(unicodedata.normalize(form, name)) == folded
    assert fold_id(name.casefold()) == folded


@given(st.text(st.characters(codec="ascii")))
def test_an_ascii_id_folds_to_its_small_letters(name: str) -> None:
    assert fold_id(name) == name.lower() == unicodedata.normalize("NFKC", name).casefold()


@given(st.lists(st.sampled_from(["bob", "Bob", "BOB", "ann"]), unique=True), st.sampled_from(["bob", "Bob", "bOb"]))
def test_an_id_finds_its_own_spelling_or_the_only_one(ids: list[str], asked: str) -> None:
    alike = [each for each in ids if each.lower() == asked.lower()]
    expected = asked if asked in ids else alike[0] if len(alike) == 1 else None
    assert find_id(asked, ids) == choose_spelling(asked, alike) == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Bob", "Bob"), ("a@b", "a@b"), ("\u0430nn", "\u0430nn (\\u0430nn)"), ("Ünal", "Ünal (\\xdcnal)")],
)
def test_an_id_that_may_look_like_another_is_shown_with_its_numbers(name: str, shown: str) -> None:
    assert shown_id(name) == shown


@given(st.text(), st.text())
def test_no_two_ids_are_shown_the_same(one: str, other: str) -> None:
    try:
        check_id("user id", one)
        check_id("user id", other)
    except BadName:
        return
    assert (shown_id(one) == shown_id(other)) == (one == other)


# ---------------------------------------------------------------- file names


@pytest.mark.parametrize(
    "name", ["a b.bin", 'it\'s "x"', "-rf", ".hidden", "..x", "数据.tar", "\u2764\ufe0f", "\u0301"]
)
def test_a_file_name_may_be_almost_anything(name: str) -> None:
    assert check_new_file_name(name) == check_file_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0", "a\x1b[2J", "gpj\u202e.exe", "x" * 256, "\ud800"])
def test_a_file_name_is_no_path_and_hides_nothing(name: str) -> None:
    for check in (check_file_name, check_new_file_name):
        with pytest.raises(BadName):
            check(name)


@pytest.mark.parametrize("name", NOTHING_VISIBLE, ids=ascii)
def test_a_new_file_name_can_be_seen(name: str) -> None:
    with pytest.raises(BadName, match="shows nothing") as refused:
        check_new_file_name(name)
    assert str(refused.value).isascii()
    assert check_file_name(name) == name, "one from before can be named"
    assert check_new_file_name(name + "x")


@given(st.text())
def test_any_text_is_a_safe_file_name_or_refused(name: str) -> None:
    try:
        check_file_name(name)
    except BadName:
        return
    assert "/" not in name
    assert "\0" not in name
    assert 1 <= len(name.encode()) <= 255
    assert not any(unicodedata.category(character) == "Cc" for character in name)


@given(st.text())
def test_a_new_file_name_has_something_that_is_printed(name: str) -> None:
    try:
        check_new_file_name(name)
    except BadName:
        return
    assert any(not c.isspace() and unicodedata.category(c) != "Cf" and not is_blank_letter(c) for c in name)


@given(st.text())
def test_a_file_name_is_one_in_every_normal_form_and_two_in_every_case(name: str) -> None:
    normal = normal_file_name(name)
    assert normal_file_name(normal) == normal
    for form in ("NFC", "NFD"):
        assert normal_file_name(unicodedata.normalize(form, name)) == normal


def test_capital_letters_and_width_make_another_file_name() -> None:
    assert len({normal_file_name(name) for name in ("Data", "data", "\uff44ata")}) == 3

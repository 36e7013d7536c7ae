import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.names import BadName, check_file_name, check_id


@pytest.mark.parametrize("name", ["ann", "ann.b-c_d@lab+1", "Ünal", "数据", "7"])
def test_letters_digits_and_a_few_marks_make_an_id(name: str) -> None:
    assert check_id("user id", name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\n", "a\u202eb", "x" * 65, "e\u0301", "\ud800", "a:b"])
def test_anything_else_makes_none(name: str) -> None:
    with pytest.raises(BadName, match="user id"):
        check_id("user id", name)


@pytest.mark.parametrize("name", ["a b.bin", "it's \"x\"", "-rf", ".hidden", "..x", "数据.tar"])
def test_a_file_name_may_be_almost_anything(name: str) -> None:
    assert check_file_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0", "a\x1b[2J", "gpj\u202e.exe", "x" * 256, "\ud800"])
def test_a_file_name_is_no_path_and_hides_nothing(name: str) -> None:
    with pytest.raises(BadName):
        check_file_name(name)


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
def test_every_accepted_id_is_also_a_safe_file_name(name: str) -> None:
    try:
        check_id("user id", name)
    except BadName:
        return
    if name not in (".", ".."):
        check_file_name(name)

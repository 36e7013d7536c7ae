"""Which group and which file of this client are meant by what was typed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client.spellings import Key, find_key, is_same_group, is_same_name, spelling

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("typed", [("lab", COMPOSED), ("LAB", DECOMPOSED), ("Lab", DECOMPOSED)])
def test_a_file_is_found_in_any_case_of_its_group_and_form_of_its_name(typed: Key) -> None:
    assert find_key(typed, [("Lab", DECOMPOSED), ("den", COMPOSED)]) == ("Lab", DECOMPOSED)


@pytest.mark.parametrize("typed", [("lab", "Data"), ("lab2", "data"), ("den", "data")])
def test_what_is_another_file_or_group_is_not_found(typed: Key) -> None:
    assert find_key(typed, [("lab", "data")]) == typed


def test_of_several_that_could_be_meant_only_the_very_same_is_found() -> None:
    keys = [("Lab", "data"), ("lab", "data")]
    assert find_key(("lab", "data"), keys) == ("lab", "data")
    assert find_key(("LAB", "data"), keys) == ("LAB", "data")


@pytest.mark.parametrize(
    ("typed", "said", "is_right"),
    [("LAB", "Lab", True), ("lab", "lab", True), ("lab", "den", False), ("lab", "", False)],
)
def test_a_trackers_spelling_is_taken_if_it_is_one_of_the_typed_id(typed: str, said: str, is_right: bool) -> None:
    assert spelling(typed, said) == (said if is_right else typed)


@given(st.lists(st.tuples(st.text(), st.text()), unique=True), st.data())
def test_every_file_is_found_by_its_own_name(keys: list[Key], data: st.DataObject) -> None:
    for key in keys:
        assert find_key(key, keys) == key
    asked = data.draw(st.tuples(st.text(), st.text()))
    found = find_key(asked, keys)
    assert found == asked or (is_same_group(asked[0], found[0]) and is_same_name(asked[1], found[1]))


@given(st.text())
def test_the_same_in_other_letters_is_the_same(text: str) -> None:
    assert is_same_group(text, text.casefold())
    assert is_same_name(text, unicodedata.normalize("NFD", text))

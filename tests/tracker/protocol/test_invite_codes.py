import contextlib

from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.invite_codes import invite_text, parse_invite


@given(st.binary(min_size=16, max_size=16))
def test_a_code_survives_being_written_down(code: bytes) -> None:
    text = invite_text(code)
    assert len(text) == 26
    assert parse_invite(text) == parse_invite(f" {text.upper()[:13]}-{text[13:]} ") == code


@given(st.text(max_size=40))
def test_any_text_is_a_code_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert len(parse_invite(text)) == 16

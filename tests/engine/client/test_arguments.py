from collections.abc import Callable

import pytest

from engine.client import arguments
from engine.errors import LocalError
from tracker.protocol.invite_codes import invite_text


@pytest.mark.parametrize(
    ("check", "value", "code"),
    [
        (arguments.user_id, "a b", "bad_name"),
        (arguments.group_id, "", "bad_name"),
        (arguments.file_name, "../a", "bad_name"),
        (arguments.file_name, "", "bad_name"),
        (arguments.password, "", "bad_password"),
        (arguments.password, "x" * (arguments.PASSWORD_LENGTH_MAX + 1), "bad_password"),
        (arguments.password, "\udcff", "bad_password"),
        (arguments.invite, "short", "bad_invite"),
    ],
)
def test_what_no_request_may_carry_is_refused(check: Callable[[str], object], value: str, code: str) -> None:
    with pytest.raises(LocalError) as caught:
        check(value)
    assert caught.value.code == code
    assert str(caught.value)


def test_what_may_be_carried_is_returned() -> None:
    assert arguments.new_id("group id", "lab") == "lab"
    assert arguments.file_name("a b.bin") == "a b.bin"
    assert arguments.password("x" * arguments.PASSWORD_LENGTH_MAX)
    assert arguments.invite("") == b""
    code = bytes(16)
    assert arguments.invite(invite_text(code))

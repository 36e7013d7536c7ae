from typing import get_args

import pytest

from tracker.protocol import requests
from tracker.protocol.requests import BEFORE_LOGIN
from tracker.rules.permissions import Generation, Group, Refusal, Standing, check_alive, check_session, check_standing

REQUEST_TYPES: tuple[type, ...] = get_args(requests.Request)
RANK: dict[Standing, int] = {"owner": 2, "member": 1, "requested": 0, "none": 0}


@pytest.mark.parametrize("request_type", REQUEST_TYPES)
def test_strangers_may_only_become_somebody(request_type: type) -> None:
    if request_type in BEFORE_LOGIN:
        check_session(request_type, is_logged_in=False)
    else:
        with pytest.raises(Refusal) as caught:
            check_session(request_type, is_logged_in=False)
        assert caught.value.code == "not_logged_in"


@pytest.mark.parametrize("least", ["owner", "member", "none"])
@pytest.mark.parametrize("standing", ["owner", "member", "requested", "none"])
def test_standing_decides(least: Standing, standing: Standing) -> None:
    group = Group("lab", "ann", 1, standing)
    if RANK[standing] >= RANK[least]:
        assert check_standing(least, "lab", group) is group
    else:
        with pytest.raises(Refusal) as caught:
            check_standing(least, "lab", group)
        assert caught.value.code == ("not_owner" if standing == "member" else "not_member")


@pytest.mark.parametrize("least", ["owner", "member", "none"])
def test_a_group_that_is_not_there_is_said_to_be_missing(least: Standing) -> None:
    with pytest.raises(Refusal) as caught:
        check_standing(least, "lab", None)
    assert caught.value.code == "no_such_group"


@pytest.mark.parametrize(
    ("present", "is_alive"),
    [
        (None, False),  # the account is gone
        (Generation(3, None), True),
        (Generation(3, b"another"), True),
        (Generation(4, b"another"), False),
        (Generation(4, b"key"), True),  # it revoked the others, and its new certificate has not reached it
        (Generation(2, b"key"), False),  # a certificate of a generation that was never given
    ],
)
def test_a_session_lives_in_its_generation_or_by_the_spared_key(present: Generation | None, is_alive: bool) -> None:
    if is_alive:
        assert check_alive(present, 3, b"key") is present
    else:
        with pytest.raises(Refusal) as caught:
            check_alive(present, 3, b"key")
        assert caught.value.code == "session_ended"

from typing import get_args

import pytest

from tracker.protocol import events, requests
from tracker.protocol.requests import BEFORE_LOGIN
from tracker.rules.permissions import LEAST_STANDING, Group, Refusal, check_session, check_standing
from tracker.service.dispatch import HANDLERS, SESSION_HANDLERS

REQUEST_TYPES: tuple[type, ...] = get_args(requests.Request)


def group(standing: str) -> Group:
    return Group("lab", "ann", 1, standing)  # type: ignore[arg-type]


def test_every_request_has_one_rule_and_one_handler() -> None:
    assert set(LEAST_STANDING) == set(REQUEST_TYPES) == set(HANDLERS) | set(SESSION_HANDLERS)
    assert not set(HANDLERS) & set(SESSION_HANDLERS)


@pytest.mark.parametrize("request_type", REQUEST_TYPES)
def test_strangers_may_only_become_somebody(request_type: type) -> None:
    if request_type in BEFORE_LOGIN:
        check_session(request_type, is_logged_in=False)
    else:
        with pytest.raises(Refusal) as caught:
            check_session(request_type, is_logged_in=False)
        assert caught.value.code == "not_logged_in"


def test_an_unlisted_request_is_denied() -> None:
    with pytest.raises(Refusal):
        check_session(events.Welcome, is_logged_in=True)


@pytest.mark.parametrize("request_type", [each for each, least in LEAST_STANDING.items() if least is not None])
@pytest.mark.parametrize("standing", ["owner", "member", "requested", "none"])
def test_standing_decides(request_type: type, standing: str) -> None:
    rank = {"owner": 2, "member": 1, "requested": 0, "none": 0}
    least = LEAST_STANDING[request_type]
    assert least is not None
    if rank[standing] >= rank[least]:
        assert check_standing(request_type, "lab", group(standing)).group_id == "lab"
    else:
        with pytest.raises(Refusal) as caught:
            check_standing(request_type, "lab", group(standing))
        assert caught.value.code == ("not_owner" if standing == "member" else "not_member")


def test_a_group_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(Refusal) as caught:
        check_standing(requests.GetTicket, "lab", None)
    assert caught.value.code == "no_such_group"

"""What allows a request is withdrawn after it was sent and before it acts: then it is refused.

Every request there is, with everything it is allowed by (docs/security.md has the table), on one tracker and on two.
The withdrawal is a request too, and is committed first:

- a change waits for the write lock behind it, with all that it has looked at before;
- what only reads is asked for between that commit and the moment the tracker that made it goes on. The other tracker
  has not heard of it either.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple, get_args

import pytest

from tests.tracker.service.held_store import (
    DEN,
    INVITE,
    LAB,
    ROOT,
    Asking,
    Scene,
    Withdrawing,
    enter,
    filled,
    resume,
    scene,
)
from tracker.protocol import manifests, requests, results
from tracker.protocol.manifests import Published
from tracker.protocol.results import Done, LoggedIn, Refused
from tracker.protocol.types import LEAF_BYTES, PAGE_BYTES
from tracker.service.dispatch import HANDLERS
from tracker.service.handlers import Handler
from tracker.settings import CERTIFICATE_LIFE_S, STAGED_PAGE_LIFE_S

__all__ = ["filled", "scene"]

# ---------------------------------------------------------------- every request, and who makes it

SAMPLES: dict[type, tuple[str, requests.Request | None]] = {
    requests.CreateUser: ("fay", requests.CreateUser("fay", "pw fay", INVITE)),
    requests.Login: ("ann", None),
    requests.Resume: ("ann", None),
    requests.Renew: ("ann", requests.Renew()),
    requests.Logout: ("ann", requests.Logout()),
    requests.ChangePassword: ("ann", requests.ChangePassword("pw ann", "the thief's")),
    requests.RevokeSessions: ("ann", requests.RevokeSessions()),
    requests.CreateInvite: ("ann", requests.CreateInvite(bytes(32), 3600.0)),
    requests.CreateGroup: ("ann", requests.CreateGroup("new")),
    requests.JoinGroup: ("eve", requests.JoinGroup(DEN)),
    requests.LeaveGroup: ("bob", requests.LeaveGroup(LAB)),
    requests.RemoveMember: ("ann", requests.RemoveMember(LAB, "bob")),
    requests.TransferOwnership: ("ann", requests.TransferOwnership(LAB, "bob")),
    requests.FetchAudit: ("ann", requests.FetchAudit(LAB)),
    requests.ListRequests: ("ann", requests.ListRequests(LAB)),
    requests.AcceptRequest: ("ann", requests.AcceptRequest(LAB, "cyd")),
    requests.RejectRequest: ("ann", requests.RejectRequest(LAB, "cyd")),
    requests.ListGroups: ("ann", requests.ListGroups()),
    requests.ListFiles: ("bob", requests.ListFiles(LAB)),
    manifests.Publish: ("bob", manifests.Publish(LAB, "mine", 5, 1 << 18, bytes([1]) * 32, bytes(32))),
    manifests.PutPage: ("bob", manifests.PutPage(LAB, bytes(32))),
    manifests.FetchManifest: ("bob", manifests.FetchManifest(LAB, "data", 5)),
    manifests.FetchPage: ("bob", manifests.FetchPage(LAB, "data", ROOT, 0)),
    requests.Withdraw: ("bob", requests.Withdraw(LAB, "data")),
    requests.Announce: ("bob", requests.Announce("", 4000, [requests.Share(LAB, ROOT, True)])),
    requests.AnnounceChange: ("bob", requests.AnnounceChange([requests.Share(LAB, ROOT, True)], [])),
    requests.Heartbeat: ("ann", requests.Heartbeat()),
    requests.FindPeers: ("bob", requests.FindPeers(LAB, ROOT, 5)),
    requests.GetTicket: ("bob", requests.GetTicket(LAB)),
}
"""None: it is made of what the asking connection has."""

OF_ITSELF_ALONE = {requests.Heartbeat, requests.Logout}
"""They do nothing but keep or end the very session that sends them, so nothing is looked up for them."""

IN_ONE_TRANSACTION = {kind: each for kind, each in HANDLERS.items() if isinstance(each, Handler)}
BEHIND_THE_LOCK = {kind for kind, handler in IN_ONE_TRANSACTION.items() if handler.is_change} | {
    requests.CreateUser,
    requests.ChangePassword,
    requests.Login,
}


class Withdrawal(NamedTuple):
    """`prepare` logs in who withdraws and returns the withdrawal itself, or how many seconds do it."""

    concerns: frozenset[type]
    code: str
    prepare: Callable[[Scene, str], Awaitable[Withdrawing | float]]


OF_A_SESSION = frozenset(SAMPLES) - requests.BEFORE_LOGIN - OF_ITSELF_ALONE


def of_standing(standing: str) -> frozenset[type]:
    return frozenset(kind for kind, handler in IN_ONE_TRANSACTION.items() if handler.least_standing == standing)


async def revoke(scene: Scene, user_id: str) -> Withdrawing:
    return (await enter(scene.office, user_id)).ask(requests.RevokeSessions())


async def change_password(scene: Scene, user_id: str) -> Withdrawing:
    person = await enter(scene.office, user_id)
    return person.ask(requests.ChangePassword("pw " + user_id, "better"))


def by_ann(request: requests.Request) -> Callable[[Scene, str], Awaitable[Withdrawing]]:
    async def prepare(scene: Scene, user_id: str) -> Withdrawing:
        return (await enter(scene.office, "ann")).ask(request)

    return prepare


async def use_invite(scene: Scene, user_id: str) -> Withdrawing:
    return scene.office.stranger().ask(requests.CreateUser("gus", "pw", INVITE))


async def a_day(scene: Scene, user_id: str) -> float:
    return CERTIFICATE_LIFE_S


WITHDRAWALS = {
    "its session is revoked": Withdrawal(OF_A_SESSION | {requests.Resume}, "session_ended", revoke),
    "its password is another": Withdrawal(OF_A_SESSION | {requests.Resume}, "session_ended", change_password),
    "what it takes for the password is another": Withdrawal(
        frozenset({requests.Login}), "login_failed", change_password
    ),
    "its certificate ends": Withdrawal(OF_A_SESSION | {requests.Resume}, "session_ended", a_day),
    "it is no member any more": Withdrawal(
        of_standing("member"), "not_member", by_ann(requests.RemoveMember(LAB, "bob"))
    ),
    "it is no owner any more": Withdrawal(
        of_standing("owner"), "not_owner", by_ann(requests.TransferOwnership(LAB, "bob"))
    ),
    "the group is gone": Withdrawal(of_standing("none"), "no_such_group", by_ann(requests.LeaveGroup(DEN))),
    "who asks to join has an answer": Withdrawal(
        frozenset({requests.AcceptRequest, requests.RejectRequest}),
        "no_such_request",
        by_ann(requests.RejectRequest(LAB, "cyd")),
    ),
    "the invitation is used": Withdrawal(frozenset({requests.CreateUser}), "bad_invite", use_invite),
    "the invitation ends": Withdrawal(frozenset({requests.CreateUser}), "bad_invite", a_day),
}
CASES = [(kind, why) for why, withdrawal in WITHDRAWALS.items() for kind in SAMPLES if kind in withdrawal.concerns]


def test_every_request_is_tried_with_everything_it_is_allowed_by() -> None:
    assert set(SAMPLES) == set(get_args(requests.Request))
    assert {kind for kind, _ in CASES} == set(SAMPLES) - OF_ITSELF_ALONE
    assert set(IN_ONE_TRANSACTION) | {requests.ChangePassword} == OF_A_SESSION


async def asking(scene: Scene, kind: type) -> Asking:
    """The request of this kind, ready to be sent on a connection that may send it."""
    user_id, request = SAMPLES[kind]
    if request is not None:
        person = scene.place.stranger() if kind in requests.BEFORE_LOGIN else await enter(scene.place, user_id)
        return lambda: person.ask(request)
    if kind is requests.Login:
        return lambda: scene.place.stranger().login(user_id, "pw " + user_id)
    first = scene.place.stranger()
    logged_in = await first.login(user_id, "pw " + user_id)
    assert isinstance(logged_in, LoggedIn)

    async def ask() -> results.Result:
        return (await resume(scene.place, first.key, logged_in))[1]

    return ask


@pytest.mark.parametrize(("kind", "why"), CASES, ids=lambda word: getattr(word, "__name__", word))
async def test_a_request_that_is_not_allowed_any_more_when_it_acts_is_refused(
    scene: Scene, kind: type, why: str
) -> None:
    withdrawal, ask = WITHDRAWALS[why], await asking(scene, kind)
    withdrawing = await withdrawal.prepare(scene, SAMPLES[kind][0])
    if isinstance(withdrawing, float):
        answer = await scene.ask_and_let_time_pass(withdrawing, ask, waits=kind in BEHIND_THE_LOCK)
    elif kind in BEHIND_THE_LOCK:
        answer = await scene.ask_too_late(withdrawing, ask)
    else:
        answer = await scene.ask_at_once(withdrawing, ask)
    assert isinstance(answer, Refused), answer
    assert answer.code == withdrawal.code


@pytest.mark.parametrize("scene", [1], ids=[""], indirect=True)
@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
async def test_if_nothing_is_withdrawn_it_is_answered(scene: Scene, kind: type) -> None:
    """So none of these is refused for another reason. (Two of them ask for more than there is here.)"""
    answer = await (await asking(scene, kind))()
    if kind in (manifests.FetchPage, requests.AnnounceChange):
        assert isinstance(answer, Refused)
        assert answer.code == "bad_request"
    else:
        assert not isinstance(answer, Refused), answer


async def test_pages_that_ended_while_their_manifest_waited_are_asked_for_again(scene: Scene) -> None:
    pages = [b"\x01" * PAGE_BYTES, b"\x02" * LEAF_BYTES]
    size_bytes = (sum(map(len, pages)) // LEAF_BYTES) << 18
    digests = [hashlib.sha256(page).digest() for page in pages]
    request = manifests.Publish(LAB, "large", size_bytes, 1 << 18, bytes([7]) * 32, b"", digests)
    bob = await enter(scene.place, "bob")
    for page in pages:
        assert await bob.ask(manifests.PutPage(LAB, page)) == Done()
    answer = await scene.ask_and_let_time_pass(STAGED_PAGE_LIFE_S + 1, lambda: bob.ask(request), waits=True)
    assert answer == Published(False, [0, 1])
    for page in pages:
        assert await bob.ask(manifests.PutPage(LAB, page)) == Done()
    assert await bob.ask(request) == Published(False)


FREEING: list[tuple[requests.Request, str]] = [
    (requests.Withdraw(LAB, "his"), "Withdrawn"),
    (manifests.Publish(LAB, "his", 5, 1 << 18, bytes([2]) * 32, bytes(32)), "Refused"),
]


@pytest.mark.parametrize(("request_kind", "answered"), FREEING, ids=["Withdraw", "Publish"])
async def test_who_owns_the_group_no_more_frees_no_name_of_others(
    scene: Scene, request_kind: requests.Request, answered: str
) -> None:
    bob, ann = await enter(scene.office, "bob"), await enter(scene.place, "ann")
    his = manifests.Publish(LAB, "his", 5, 1 << 18, bytes([1]) * 32, bytes(32))
    assert await bob.ask(his) == Published(False)
    giving_away = (await enter(scene.office, "ann")).ask(requests.TransferOwnership(LAB, "bob"))
    answer = await scene.ask_too_late(giving_away, lambda: ann.ask(request_kind))
    assert type(answer).__name__ == answered
    assert await bob.ask(his) == Published(True)


async def test_what_was_refused_is_answered_from_memory_to_nobody_either(scene: Scene) -> None:
    """A remembered outcome is for those who could ask for it now."""
    request_id = bytes(range(16))
    ann = await enter(scene.place, "ann")
    assert await ann.ask(requests.CreateGroup("new"), request_id) == Done()
    revoking = (await enter(scene.office, "ann")).ask(requests.RevokeSessions())
    answer = await scene.ask_at_once(revoking, lambda: ann.ask(requests.CreateGroup("new"), request_id))
    assert isinstance(answer, Refused)
    assert answer.code == "session_ended"

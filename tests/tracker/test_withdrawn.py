"""What allows a request is withdrawn after it was sent and before it acts: then it is refused.

Every request there is, with everything it is allowed by (THREAT_MODEL.md has the table), on one tracker and on two. The
withdrawal is a request too, and is committed first:

- a change waits for the write lock behind it, with all that it has looked at before;
- what only reads is asked for between that commit and the moment the tracker that made it goes on. The other tracker
  has not heard of it either.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple, get_args

import pytest

from tests.tracker.held_store import DEN, INVITE, LAB, ROOT, Asking, Scene, Withdrawing, enter, filled, resume, scene
from tracker import permissions, protocol
from tracker.protocol import Done, LoggedIn, Published, Refused
from tracker.service import HANDLERS
from tracker.settings import CERTIFICATE_LIFE_S, STAGED_PAGE_LIFE_S
from tracker.vocabulary import LEAF_BYTES, PAGE_BYTES

__all__ = ["filled", "scene"]

# ---------------------------------------------------------------- every request, and who makes it

SAMPLES: dict[type, tuple[str, protocol.Request | None]] = {
    protocol.CreateUser: ("fay", protocol.CreateUser("fay", "pw fay", INVITE)),
    protocol.Login: ("ann", None),
    protocol.Resume: ("ann", None),
    protocol.Renew: ("ann", protocol.Renew()),
    protocol.Logout: ("ann", protocol.Logout()),
    protocol.ChangePassword: ("ann", protocol.ChangePassword("pw ann", "the thief's")),
    protocol.RevokeSessions: ("ann", protocol.RevokeSessions()),
    protocol.CreateInvite: ("ann", protocol.CreateInvite(bytes(32), 3600.0)),
    protocol.CreateGroup: ("ann", protocol.CreateGroup("new")),
    protocol.JoinGroup: ("eve", protocol.JoinGroup(DEN)),
    protocol.LeaveGroup: ("bob", protocol.LeaveGroup(LAB)),
    protocol.RemoveMember: ("ann", protocol.RemoveMember(LAB, "bob")),
    protocol.TransferOwnership: ("ann", protocol.TransferOwnership(LAB, "bob")),
    protocol.FetchAudit: ("ann", protocol.FetchAudit(LAB)),
    protocol.ListRequests: ("ann", protocol.ListRequests(LAB)),
    protocol.AcceptRequest: ("ann", protocol.AcceptRequest(LAB, "cyd")),
    protocol.RejectRequest: ("ann", protocol.RejectRequest(LAB, "cyd")),
    protocol.ListGroups: ("ann", protocol.ListGroups()),
    protocol.ListFiles: ("bob", protocol.ListFiles(LAB)),
    protocol.Publish: ("bob", protocol.Publish(LAB, "mine", 5, 1 << 18, bytes([1]) * 32, bytes(32))),
    protocol.PutPage: ("bob", protocol.PutPage(LAB, bytes(32))),
    protocol.FetchManifest: ("bob", protocol.FetchManifest(LAB, "data", 5)),
    protocol.FetchPage: ("bob", protocol.FetchPage(LAB, "data", ROOT, 0)),
    protocol.Withdraw: ("bob", protocol.Withdraw(LAB, "data")),
    protocol.Announce: ("bob", protocol.Announce("", 4000, [protocol.Share(LAB, ROOT, True)])),
    protocol.AnnounceChange: ("bob", protocol.AnnounceChange([protocol.Share(LAB, ROOT, True)], [])),
    protocol.Heartbeat: ("ann", protocol.Heartbeat()),
    protocol.FindPeers: ("bob", protocol.FindPeers(LAB, ROOT, 5)),
    protocol.GetTicket: ("bob", protocol.GetTicket(LAB)),
}
"""None: it is made of what the asking connection has."""

OF_ITSELF_ALONE = {protocol.Heartbeat, protocol.Logout}
"""They do nothing but keep or end the very session that sends them, so nothing is looked up for them."""

BEHIND_THE_LOCK = {kind for kind, handler in HANDLERS.items() if handler.is_change} | {
    protocol.CreateUser, protocol.ChangePassword, protocol.Login,
}  # fmt: skip


class Withdrawal(NamedTuple):
    """`prepare` logs in who withdraws and returns the withdrawal itself, or how many seconds do it."""

    concerns: frozenset[type]
    code: str
    prepare: Callable[[Scene, str], Awaitable[Withdrawing | float]]


OF_A_SESSION = frozenset(SAMPLES) - permissions.BEFORE_LOGIN - OF_ITSELF_ALONE


def of_standing(standing: str) -> frozenset[type]:
    return frozenset(kind for kind, least in permissions.LEAST_STANDING.items() if least == standing)


async def revoke(scene: Scene, user_id: str) -> Withdrawing:
    return (await enter(scene.office, user_id)).ask(protocol.RevokeSessions())


async def change_password(scene: Scene, user_id: str) -> Withdrawing:
    person = await enter(scene.office, user_id)
    return person.ask(protocol.ChangePassword("pw " + user_id, "better"))


def by_ann(request: protocol.Request) -> Callable[[Scene, str], Awaitable[Withdrawing]]:
    async def prepare(scene: Scene, user_id: str) -> Withdrawing:
        return (await enter(scene.office, "ann")).ask(request)

    return prepare


async def use_invite(scene: Scene, user_id: str) -> Withdrawing:
    return scene.office.stranger().ask(protocol.CreateUser("gus", "pw", INVITE))


async def a_day(scene: Scene, user_id: str) -> float:
    return CERTIFICATE_LIFE_S


WITHDRAWALS = {
    "its session is revoked": Withdrawal(OF_A_SESSION | {protocol.Resume}, "session_ended", revoke),
    "its password is another": Withdrawal(OF_A_SESSION | {protocol.Resume}, "session_ended", change_password),
    "what it takes for the password is another": Withdrawal(
        frozenset({protocol.Login}), "login_failed", change_password
    ),
    "its certificate ends": Withdrawal(OF_A_SESSION | {protocol.Resume}, "session_ended", a_day),
    "it is no member any more": Withdrawal(
        of_standing("member"), "not_member", by_ann(protocol.RemoveMember(LAB, "bob"))
    ),
    "it is no owner any more": Withdrawal(
        of_standing("owner"), "not_owner", by_ann(protocol.TransferOwnership(LAB, "bob"))
    ),
    "the group is gone": Withdrawal(of_standing("none"), "no_such_group", by_ann(protocol.LeaveGroup(DEN))),
    "who asks to join has an answer": Withdrawal(
        frozenset({protocol.AcceptRequest, protocol.RejectRequest}), "no_such_request",
        by_ann(protocol.RejectRequest(LAB, "cyd")),
    ),
    "the invitation is used": Withdrawal(frozenset({protocol.CreateUser}), "bad_invite", use_invite),
    "the invitation ends": Withdrawal(frozenset({protocol.CreateUser}), "bad_invite", a_day),
}  # fmt: skip
CASES = [(kind, why) for why, withdrawal in WITHDRAWALS.items() for kind in SAMPLES if kind in withdrawal.concerns]


def test_every_request_is_tried_with_everything_it_is_allowed_by() -> None:
    assert set(SAMPLES) == set(get_args(protocol.Request))
    assert {kind for kind, _ in CASES} == set(SAMPLES) - OF_ITSELF_ALONE
    assert set(HANDLERS) | {protocol.ChangePassword} == OF_A_SESSION


async def asking(scene: Scene, kind: type) -> Asking:
    """The request of this kind, ready to be sent on a connection that may send it."""
    user_id, request = SAMPLES[kind]
    if request is not None:
        person = scene.place.stranger() if kind in permissions.BEFORE_LOGIN else await enter(scene.place, user_id)
        return lambda: person.ask(request)
    if kind is protocol.Login:
        return lambda: scene.place.stranger().login(user_id, "pw " + user_id)
    first = scene.place.stranger()
    logged_in = await first.login(user_id, "pw " + user_id)
    assert isinstance(logged_in, LoggedIn)

    async def ask() -> protocol.Result:
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
    if kind in (protocol.FetchPage, protocol.AnnounceChange):
        assert isinstance(answer, Refused)
        assert answer.code == "bad_request"
    else:
        assert not isinstance(answer, Refused), answer


async def test_pages_that_ended_while_their_manifest_waited_are_asked_for_again(scene: Scene) -> None:
    pages = [b"\x01" * PAGE_BYTES, b"\x02" * LEAF_BYTES]
    size_bytes = (sum(map(len, pages)) // LEAF_BYTES) << 18
    digests = [hashlib.sha256(page).digest() for page in pages]
    request = protocol.Publish(LAB, "large", size_bytes, 1 << 18, bytes([7]) * 32, b"", digests)
    bob = await enter(scene.place, "bob")
    for page in pages:
        assert await bob.ask(protocol.PutPage(LAB, page)) == Done()
    answer = await scene.ask_and_let_time_pass(STAGED_PAGE_LIFE_S + 1, lambda: bob.ask(request), waits=True)
    assert answer == Published(False, [0, 1])
    for page in pages:
        assert await bob.ask(protocol.PutPage(LAB, page)) == Done()
    assert await bob.ask(request) == Published(False)


FREEING: list[tuple[protocol.Request, str]] = [
    (protocol.Withdraw(LAB, "his"), "Withdrawn"),
    (protocol.Publish(LAB, "his", 5, 1 << 18, bytes([2]) * 32, bytes(32)), "Refused"),
]


@pytest.mark.parametrize(("request_kind", "answered"), FREEING, ids=["Withdraw", "Publish"])
async def test_who_owns_the_group_no_more_frees_no_name_of_others(
    scene: Scene, request_kind: protocol.Request, answered: str
) -> None:
    bob, ann = await enter(scene.office, "bob"), await enter(scene.place, "ann")
    his = protocol.Publish(LAB, "his", 5, 1 << 18, bytes([1]) * 32, bytes(32))
    assert await bob.ask(his) == Published(False)
    giving_away = (await enter(scene.office, "ann")).ask(protocol.TransferOwnership(LAB, "bob"))
    answer = await scene.ask_too_late(giving_away, lambda: ann.ask(request_kind))
    assert type(answer).__name__ == answered
    assert await bob.ask(his) == Published(True)


async def test_what_was_refused_is_answered_from_memory_to_nobody_either(scene: Scene) -> None:
    """A remembered outcome is for those who could ask for it now."""
    request_id = bytes(range(16))
    ann = await enter(scene.place, "ann")
    assert await ann.ask(protocol.CreateGroup("new"), request_id) == Done()
    revoking = (await enter(scene.office, "ann")).ask(protocol.RevokeSessions())
    answer = await scene.ask_at_once(revoking, lambda: ann.ask(protocol.CreateGroup("new"), request_id))
    assert isinstance(answer, Refused)
    assert answer.code == "session_ended"

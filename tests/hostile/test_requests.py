"""The walk over all requests of the tracker: each is refused without a session, without membership, after removal,
and after its session was revoked. Whatever is added to the protocol has to be added here.
"""

import secrets
from typing import Any, get_args

import pytest

from tests.end_to_end.world import PASSWORD
from tests.hostile.arena import GROUP, Arena
from tests.testkit.raw_member import RawMember, RawTracker
from tracker.protocol import manifests, requests, results
from tracker.service.dispatch import HANDLERS
from tracker.service.handlers import Handler

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("hostile requests")]

ROOT = bytes(32)
SAMPLES: dict[type[Any], requests.Request] = {
    type(each): each
    for each in (
        requests.CreateUser("somebody", "pw"),
        requests.Login("mallory", "guess", bytes(32), bytes(64)),
        requests.Resume(b"", bytes(64)),
        requests.Renew(),
        requests.Logout(),
        requests.ChangePassword(PASSWORD, "better"),
        requests.RevokeSessions(),
        requests.CreateInvite(bytes(32), 3600.0),
        requests.CreateGroup("another"),
        requests.JoinGroup(GROUP),
        requests.LeaveGroup(GROUP),
        requests.RemoveMember(GROUP, "bob"),
        requests.TransferOwnership(GROUP, "bob"),
        requests.FetchAudit(GROUP),
        requests.ListRequests(GROUP),
        requests.AcceptRequest(GROUP, "mallory"),
        requests.RejectRequest(GROUP, "mallory"),
        requests.ListGroups(),
        requests.ListFiles(GROUP),
        manifests.Publish(GROUP, "mine", 0, 1 << 18, ROOT, b""),
        manifests.PutPage(GROUP, bytes(32)),
        manifests.FetchManifest(GROUP, "data.bin", 5),
        manifests.FetchPage(GROUP, "data.bin", ROOT, 0),
        requests.Withdraw(GROUP, "data.bin"),
        requests.Announce("127.0.0.1", 4000, [requests.Share(GROUP, ROOT, True)]),
        requests.AnnounceChange([requests.Share(GROUP, ROOT, True)], []),
        requests.Heartbeat(),
        requests.FindPeers(GROUP, ROOT, 5),
        requests.GetTicket(GROUP),
    )
}
LEAST_STANDING = {kind: each.least_standing for kind, each in HANDLERS.items() if isinstance(each, Handler)}
ABOUT_A_GROUP = [kind for kind, least in LEAST_STANDING.items() if least not in (None, "none")]
AFTER_LOGIN = [kind for kind in SAMPLES if kind not in requests.BEFORE_LOGIN]


def code_of(answer: results.Result) -> str:
    assert isinstance(answer, results.Refused), answer
    return answer.code


def name_of(kind: type[Any]) -> str:
    return str(kind.__name__)


def test_the_samples_are_all_requests_there_are() -> None:
    assert set(SAMPLES) == set(get_args(requests.Request)) == set(HANDLERS)


@pytest.mark.parametrize("kind", AFTER_LOGIN, ids=name_of)
def test_without_a_session_it_is_refused(arena: Arena, kind: type[Any]) -> None:
    stranger = RawTracker(arena.address)
    assert code_of(stranger.ask(SAMPLES[kind])) == "not_logged_in"
    stranger.close()


@pytest.mark.parametrize("kind", ABOUT_A_GROUP, ids=name_of)
def test_without_membership_it_is_refused(arena: Arena, outsider: RawMember, kind: type[Any]) -> None:
    assert code_of(outsider.tracker.ask(SAMPLES[kind])) == "not_member"


@pytest.mark.parametrize("kind", ABOUT_A_GROUP, ids=name_of)
def test_after_removal_it_is_refused(arena: Arena, removed: RawMember, kind: type[Any]) -> None:
    assert code_of(removed.tracker.ask(SAMPLES[kind])) == "not_member"


@pytest.mark.parametrize("kind", ABOUT_A_GROUP, ids=name_of)
def test_whoever_only_asked_to_be_let_in_is_refused(arena: Arena, outsider: RawMember, kind: type[Any]) -> None:
    outsider.tracker.ask(requests.JoinGroup(GROUP))
    assert code_of(outsider.tracker.ask(SAMPLES[kind])) == "not_member"


@pytest.mark.parametrize("kind", [kind for kind, least in LEAST_STANDING.items() if least == "owner"], ids=name_of)
def test_what_is_the_owners_is_refused_to_members(arena: Arena, kind: type[Any]) -> None:
    member = arena.again(arena.mallory)
    assert code_of(member.tracker.ask(SAMPLES[kind])) == "not_owner"
    member.close()


@pytest.mark.parametrize("who", ["outsider", "removed"])
def test_shares_of_a_non_member_are_taken_by_nobody(arena: Arena, request: pytest.FixtureRequest, who: str) -> None:
    """The requests that name groups in a list."""
    member: RawMember = request.getfixturevalue(who)
    share = requests.Share(GROUP, arena.manifest.root, True)
    assert member.tracker.ask(requests.Announce("127.0.0.1", 4000, [share])) == results.Announced([share])
    assert member.tracker.ask(requests.AnnounceChange([share], [])) == results.Announced([share])
    found = arena.again(arena.mallory)
    peers = found.tracker.ask(requests.FindPeers(GROUP, arena.manifest.root, 50))
    assert isinstance(peers, results.Peers)
    assert member.user_id not in {peer.user_id for peer in peers.peers}
    found.close()


@pytest.mark.parametrize("kind", AFTER_LOGIN, ids=name_of)
def test_after_its_session_was_revoked_it_is_refused(arena: Arena, revoked: RawMember, kind: type[Any]) -> None:
    assert code_of(revoked.tracker.ask(SAMPLES[kind])) == "not_logged_in"


def test_what_may_be_asked_before_a_login_proves_something_first(arena: Arena) -> None:
    stranger = RawTracker(arena.address)
    assert code_of(stranger.ask(requests.CreateUser("mallory", "guess"))) == "user_taken"
    assert code_of(stranger.ask(SAMPLES[requests.Login])) == "login_failed"
    assert code_of(stranger.ask(SAMPLES[requests.Resume])) == "session_ended"
    stranger.close()


def new_outsider(arena: Arena) -> RawMember:
    return arena.new_outsider(f"user{secrets.token_hex(4)}")


@pytest.fixture
def outsider(arena: Arena) -> Any:
    member = new_outsider(arena)
    yield member
    member.close()


@pytest.fixture(scope="module")
def removed(shared_arena: Arena) -> Any:
    """Was a member once."""
    member = shared_arena.new_member()
    shared_arena.ann.expect(f"remove_member {GROUP} {member.user_id}")
    yield member
    member.close()


@pytest.fixture(scope="module")
def revoked(shared_arena: Arena) -> Any:
    """A member's session that another of its sessions ended."""
    member = shared_arena.new_member()
    other = shared_arena.again(member)
    assert isinstance(other.tracker.ask(requests.RevokeSessions()), results.LoggedIn)
    yield member
    other.close()
    member.close()

"""What a session with the trackers adds to the client of the tracker: one ticket for long, one announcement for many,
a kept authority, errors of the engine."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from engine.client import session as session_file
from engine.client.session import TrackerSession
from engine.coordinator.download.peer_answers import PeerReport
from engine.errors import LocalError, RefusedByTracker, ShoalError, TrackerUnavailable
from engine.reports import Event
from tests.engine.client.fakes import GROUP, FakeTracker, FakeTrackerClient
from tracker.client.errors import NoTracker, TrackerRefused, UntrustedTracker
from tracker.protocol import events, requests, results
from tracker.protocol.addresses import TrackerAddress, fingerprint_of

ROOT = bytes(32)
ADDRESS = TrackerAddress("127.0.0.1", 9000, "")


class Scene:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracker = FakeTracker()
        self.events: list[Event] = []
        self.session = self.new_session()

    def new_session(self, fingerprint: str = "") -> TrackerSession:
        addresses = [TrackerAddress("127.0.0.1", 9000, fingerprint)]
        listener: Any = None
        return TrackerSession(addresses, self.folder, 20, listener, self.events.append)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(tmp_path)

    async def find_authority(addresses: object, timeout_s: float) -> bytes:
        return scene.tracker.authority_pem

    monkeypatch.setattr(session_file, "find_authority", find_authority)
    monkeypatch.setattr(
        session_file, "TrackerClient", lambda _, pem, listener: FakeTrackerClient(scene.tracker, listener)
    )
    return scene


async def test_a_ticket_is_asked_for_once_and_again_in_the_second_half_of_its_life(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for typed in (GROUP, "LAB", GROUP):
        assert (await scene.session.ticket_for(typed)).ticket == "ticket"
    assert scene.tracker.log == ["GetTicket", "GetTicket"], "one for each spelling"
    now_s = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: now_s)
    await scene.session.ticket_for(GROUP)
    assert scene.tracker.log.count("GetTicket") == 3


async def test_a_ticket_that_was_refused_or_is_of_an_old_epoch_is_asked_for_anew(scene: Scene) -> None:
    await scene.session.ticket_for(GROUP)
    await scene.session.ticket_for(GROUP, is_stale=True)
    scene.session.forget_ticket(GROUP)
    await scene.session.ticket_for(GROUP)
    assert scene.tracker.log == ["GetTicket"] * 3


async def test_a_ticket_of_another_group_is_not_taken(scene: Scene) -> None:
    scene.tracker.answers[requests.GetTicket] = results.Ticket("ticket", time.time() + 600, 1, False, "other")
    with pytest.raises(TrackerUnavailable):
        await scene.session.ticket_for(GROUP)


async def test_a_group_has_the_spelling_of_its_maker(scene: Scene) -> None:
    assert await scene.session.spelling_of("Lab") == GROUP


async def test_changes_that_come_up_together_are_announced_together(scene: Scene) -> None:
    await scene.session.login("ann", "pw")
    shares = [requests.Share(GROUP, bytes([number]) * 32, True) for number in range(50)]
    await asyncio.gather(*(scene.session.announce(share, is_removed=share is shares[0]) for share in shares))
    told = [message for message in scene.tracker.asked if isinstance(message, requests.AnnounceChange)]
    assert len(told) <= 2
    assert [share for message in told for share in message.removed] == shares[:1]
    assert [share for message in told for share in message.added] == shares[1:]


async def test_of_two_changes_of_a_swarm_the_last_counts(scene: Scene) -> None:
    await scene.session.login("ann", "pw")
    first, last = requests.Share(GROUP, ROOT, False), requests.Share(GROUP, ROOT, True)
    async with scene.session._announcing:
        waiting = [asyncio.ensure_future(scene.session.announce(share)) for share in (first, last)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert scene.tracker.asked[-1] == requests.AnnounceChange([last], [])
    assert scene.tracker.log.count("AnnounceChange") == 1


async def test_without_a_connection_nothing_is_announced_and_nothing_fails(scene: Scene) -> None:
    assert await scene.session.announce(requests.Share(GROUP, ROOT, True)) == []
    assert scene.tracker.log == []


async def test_this_client_is_not_among_the_peers_of_a_file(scene: Scene) -> None:
    await scene.session.login("ann", "pw")
    own = events.Peer("ann", "192.0.2.1", 7000, scene.session._own_thumbprint, is_complete=True)
    other = events.Peer("ann", "192.0.2.2", 7000, bytes(32), is_complete=True)
    scene.tracker.answers[requests.FindPeers] = results.Peers([own, other])
    found = await scene.session.find_peers(GROUP, ROOT, PeerReport((), ()))
    assert [peer.host for peer in found] == ["192.0.2.2"]


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (TrackerRefused("not_member", "you are not"), RefusedByTracker, "not_member"),
        (NoTracker("nobody answers"), TrackerUnavailable, "tracker_unavailable"),
        (UntrustedTracker(ADDRESS, "sha256:1", "sha256:2"), TrackerUnavailable, "tracker_untrusted"),
    ],
)
async def test_errors_of_the_tracker_client_become_those_of_the_engine(
    scene: Scene, raised: Exception, kind: type[ShoalError], code: str
) -> None:
    scene.tracker.answers[requests.ListGroups] = raised
    with pytest.raises(kind) as caught:
        await scene.session.call(requests.ListGroups(), results.Groups)
    assert caught.value.code == code


async def test_an_answer_of_another_kind_is_the_trackers_fault(scene: Scene) -> None:
    with pytest.raises(TrackerUnavailable):
        await scene.session.call(requests.ListGroups(), results.Groups)


async def test_the_first_authority_is_kept_and_told_once(scene: Scene) -> None:
    await scene.session.ticket_for(GROUP)
    assert [event.code for event in scene.events] == ["tracker_trusted"]
    assert (scene.folder / "authority.pem").read_bytes() == scene.tracker.authority_pem
    assert (scene.folder / "authority.pem").stat().st_mode & 0o777 == 0o600
    await scene.new_session().ticket_for(GROUP)
    assert len(scene.events) == 1


async def test_a_fingerprint_in_the_list_has_to_be_that_of_the_tracker(scene: Scene) -> None:
    with pytest.raises(TrackerUnavailable) as caught:
        await scene.new_session("sha256:" + "0" * 64).ticket_for(GROUP)
    assert caught.value.code == "tracker_untrusted"
    assert not (scene.folder / "authority.pem").exists()
    await scene.new_session(fingerprint_of(scene.tracker.authority_pem)).ticket_for(GROUP)
    assert scene.events == [], "it was named, so there is nothing to compare"


async def test_a_damaged_authority_is_an_error_that_names_the_file(scene: Scene) -> None:
    (scene.folder / "authority.pem").write_bytes(b"half of it")
    with pytest.raises(LocalError) as caught:
        await scene.session.ticket_for(GROUP)
    assert caught.value.code == "bad_pin"
    assert "authority.pem" in str(caught.value)


async def test_a_logout_forgets_the_tickets(scene: Scene) -> None:
    await scene.session.login("ann", "pw")
    await scene.session.ticket_for(GROUP)
    await scene.session.logout()
    assert scene.session.user_id is None
    await scene.session.ticket_for(GROUP)
    assert scene.tracker.log.count("GetTicket") == 2

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509 import load_pem_x509_certificate

from tracker.client import client as client_module
from tracker.client.client import TrackerClient
from tracker.client.errors import NoTracker, TrackerRefused, UntrustedTracker
from tracker.protocol import events, manifests, requests, results
from tracker.protocol.authority import make_authority, member_of
from tracker.protocol.requests import Call
from tracker.protocol.results import Done, Result
from tracker.service import sessions
from tracker.service.live_sessions import Connection

if TYPE_CHECKING:
    from tests.tracker.conftest import Ear, Listening, Town

MakeEar = Callable[[], "Ear"]
ROOT = bytes(32)


@asynccontextmanager
async def running(town: "Town", ear: "Ear", authority_pem: bytes = b"") -> AsyncIterator[TrackerClient]:
    addresses = [listening.address for listening in town.trackers]
    client = TrackerClient(addresses, authority_pem or town.authority_pem, ear)
    await client.start()
    async with asyncio.timeout(20):
        yield client
    await client.close()


async def enter(client: TrackerClient, user_id: str) -> None:
    await client.call(requests.CreateUser(user_id, "pw"))
    await client.login(user_id, "pw", Ed25519PrivateKey.generate())


async def test_a_login_becomes_a_session_with_every_tracker(town: "Town", make_ear: MakeEar) -> None:
    await town.open_tracker()
    ear = make_ear()
    async with running(town, ear) as client:
        await enter(client, "ann")
        assert {await ear.sessions.get(), await ear.sessions.get()} == {0, 1}
        assert client.count_sessions() == 2
        assert await client.call(requests.CreateGroup("lab")) == Done()


async def test_a_refusal_is_raised_with_its_code(town: "Town", make_ear: MakeEar) -> None:
    async with running(town, make_ear()) as client:
        with pytest.raises(TrackerRefused) as caught:
            await client.login("nobody", "pw", Ed25519PrivateKey.generate())
        assert caught.value.code == "login_failed"
        with pytest.raises(TrackerRefused, match="log in first"):
            await client.call(requests.ListGroups())


async def test_calls_move_on_when_a_tracker_dies_and_shares_come_back_with_it(town: "Town", make_ear: MakeEar) -> None:
    second = await town.open_tracker()
    ear = make_ear()
    async with running(town, ear) as client:
        await enter(client, "ann")
        await client.call(requests.CreateGroup("lab"))
        await client.call(manifests.Publish("lab", "a", 0, 1 << 18, ROOT, b""))
        await ear.sessions.get()
        await ear.sessions.get()
        ear.shares = requests.Announce("127.0.0.1", 4000, [requests.Share("lab", ROOT, True)])
        assert await client.announce_all(ear.shares) == [results.Announced([])] * 2
        first = town.trackers[0]
        await town.shut(first)
        assert await client.call(requests.CreateGroup("team")) == Done()
        back = await town.open_tracker(first.address.port)
        assert await ear.sessions.get() == 0
        await town.shut(second)
        listed = await client.call(requests.ListFiles("lab"))
        assert isinstance(listed, results.Files)
        assert listed.files[0].sharers_online == 1
        assert back.address == first.address


async def test_events_are_heard_by_whoever_they_concern(town: "Town", make_ear: MakeEar) -> None:
    ear = make_ear()
    async with running(town, ear) as owner, running(town, make_ear()) as asker:
        await enter(owner, "ann")
        await enter(asker, "bob")
        await owner.call(requests.CreateGroup("lab"))
        await asker.call(requests.JoinGroup("lab"))
        assert await ear.events.get() == events.RequestArrived("lab", "bob")


async def test_no_tracker_is_said_with_the_addresses(
    town: "Town", make_ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "NO_TRACKER_GRACE_S", 0.3)
    address = town.trackers[0].address
    async with running(town, make_ear()) as client:
        await town.shut(town.trackers[0])
        with pytest.raises(NoTracker, match=str(address)):
            await client.call(requests.CreateUser("ann", "pw"))


async def test_an_impostor_is_reported_as_such(
    town: "Town", make_ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "NO_TRACKER_GRACE_S", 0.5)
    _, other_pem = make_authority(1.8e9)
    async with running(town, make_ear(), other_pem) as client:
        with pytest.raises(UntrustedTracker):
            await client.call(requests.CreateUser("ann", "pw"))


async def test_after_a_logout_no_session_is_left_and_another_may_begin(town: "Town", make_ear: MakeEar) -> None:
    ear = make_ear()
    async with running(town, ear) as client:
        await enter(client, "ann")
        await client.logout()
        assert client.identity is None
        with pytest.raises(TrackerRefused, match="log in first"):
            await client.call(requests.ListGroups())
        await enter(client, "bob")
        assert await client.call(requests.CreateGroup("lab")) == Done()


async def test_a_certificate_is_renewed_at_half_its_life(
    town: "Town", make_ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_RENEW_AGAIN_S", 0.01)
    monkeypatch.setattr(sessions, "CERTIFICATE_LIFE_S", 2.0)
    ear = make_ear()
    async with running(town, ear) as client:
        await enter(client, "ann")
        first = client.identity
        renewed = await ear.identities.get()
        assert first is not None
        assert renewed is not None
        assert renewed == client.identity
        assert renewed.expires_at_s >= first.expires_at_s
        assert renewed.certificate_pem != first.certificate_pem


async def test_a_session_the_tracker_forgot_is_resumed_under_the_call(town: "Town", make_ear: MakeEar) -> None:
    ear = make_ear()
    async with running(town, ear) as client:
        await enter(client, "ann")
        await ear.sessions.get()
        (connection,) = town.trackers[0].service._state.sessions.connections_of("ann")
        town.trackers[0].service.hang_up(connection)
        assert await client.call(requests.CreateGroup("lab")) == Done()
        assert await ear.sessions.get() == 0


async def test_revoking_leaves_this_client_in_on_every_tracker_and_ends_the_other(
    town: "Town", make_ear: MakeEar
) -> None:
    await town.open_tracker()
    ear, other_ear = make_ear(), make_ear()
    async with running(town, ear) as client, running(town, other_ear) as other:
        await enter(client, "ann")
        await other.login("ann", "pw", Ed25519PrivateKey.generate())
        for each in (ear, other_ear):
            await each.sessions.get()
            await each.sessions.get()
        await client.revoke_others(requests.RevokeSessions())
        assert await other_ear.identities.get() is None
        with pytest.raises(TrackerRefused, match="log in first"):
            await other.call(requests.ListGroups())
        assert await ear.identities.get() == client.identity
        for listening in list(town.trackers)[:1]:
            await town.shut(listening)  # the rest of the session is on the other tracker, with the new certificate
        assert await client.call(requests.CreateGroup("lab")) == Done()


async def test_what_every_tracker_tells_is_passed_on_once(town: "Town", make_ear: MakeEar) -> None:
    await town.open_tracker()
    ear = make_ear()
    async with running(town, ear) as owner, running(town, make_ear()) as asker:
        await enter(owner, "ann")
        await enter(asker, "bob")
        await ear.sessions.get()
        await ear.sessions.get()
        await owner.call(requests.CreateGroup("lab"))
        await owner.call(requests.CreateGroup("den"))
        await asker.call(requests.JoinGroup("lab"))
        assert await ear.events.get() == events.RequestArrived("lab", "bob")
        for listening in town.trackers:
            await listening.service.hear_news()
        await asker.call(requests.JoinGroup("den"))
        assert await ear.events.get() == events.RequestArrived("den", "bob")


class Hanging:
    """A tracker that takes what it is sent and answers when it is let go."""

    def __init__(self, listening: "Listening", monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: asyncio.Queue[Call] = asyncio.Queue()
        self.let_go = asyncio.Event()
        self._answer = listening.service.answer
        monkeypatch.setattr(listening.service, "answer", self._wait)

    async def _wait(self, connection: Connection, call: Call) -> Result:
        self.asked.put_nowait(call)
        await self.let_go.wait()
        return await self._answer(connection, call)

    def sent_requests(self) -> set[type]:
        return {type(self.asked.get_nowait().request) for _ in range(self.asked.qsize())}


async def enter_both(town: "Town", client: TrackerClient, ear: "Ear") -> None:
    await enter(client, "ann")
    assert {await ear.sessions.get(), await ear.sessions.get()} == {0, 1}


async def test_a_tracker_that_hangs_is_asked_last_until_it_answers_again(
    town: "Town", make_ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.open_tracker()
    ear = make_ear()
    async with running(town, ear) as client:
        await enter_both(town, client, ear)
        hanging = Hanging(town.trackers[0], monkeypatch)
        assert await client.call(requests.CreateGroup("lab")) == Done()
        assert hanging.sent_requests() == {requests.CreateGroup}  # was asked, and after it only for a sign of life
        assert await client.call(requests.CreateGroup("team")) == Done()
        assert requests.CreateGroup not in hanging.sent_requests()
        hanging.let_go.set()
        while client._trackers[0].promptness.is_lapsing:
            assert await client.call(requests.ListGroups())
        hanging.sent_requests()
        assert await client.call(requests.CreateGroup("den")) == Done()
        assert requests.CreateGroup in hanging.sent_requests()
        listed = await client.call(requests.ListGroups())
        assert isinstance(listed, results.Groups)
        assert [group.group_id for group in listed.groups] == ["den", "lab", "team"]


async def test_an_announcement_waits_for_no_tracker_that_hangs_and_its_answer_is_heard_late(
    town: "Town", make_ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.open_tracker()
    ear = make_ear()
    async with running(town, ear) as client:
        await enter_both(town, client, ear)
        hanging = Hanging(town.trackers[0], monkeypatch)
        stranger = requests.Share("lab", ROOT, True)
        answers = await client.announce_all(requests.Announce("127.0.0.1", 4000, [stranger]))
        assert answers == [results.Announced([stranger])]
        hanging.let_go.set()
        assert await ear.sessions.get() == 0


async def test_a_logout_waits_for_no_tracker_that_hangs(
    town: "Town", make_ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = make_ear()
    async with running(town, ear) as client:
        await enter(client, "ann")
        hanging = Hanging(town.trackers[0], monkeypatch)
        async with asyncio.timeout(5):
            await client.logout()
        assert hanging.sent_requests() == {requests.Logout}
        hanging.let_go.set()
        await enter(client, "bob")
        assert await client.call(requests.CreateGroup("lab")) == Done()


@pytest.mark.parametrize("tracker_count", [1, 2])
@pytest.mark.parametrize("request_kind", [requests.RevokeSessions(), requests.ChangePassword("pw", "better")], ids=repr)
async def test_a_client_whose_answer_was_lost_stays_in_and_every_other_is_out(
    town: "Town",
    make_ear: MakeEar,
    monkeypatch: pytest.MonkeyPatch,
    request_kind: requests.RevokeSessions | requests.ChangePassword,
    tracker_count: int,
) -> None:
    first = town.trackers[0]
    if tracker_count == 2:
        await town.open_tracker()
    answer = first.service.answer
    lost: list[results.Result] = []

    async def answer_and_hang_up(connection: Connection, call: requests.Call) -> results.Result:
        result = await answer(connection, call)
        if call.request == request_kind and not lost:
            lost.append(result)
            for each in list(first.server._connections):
                each._writer.transport.abort()
        return result

    monkeypatch.setattr(first.service, "answer", answer_and_hang_up)
    ear, other_ear = make_ear(), make_ear()
    async with running(town, ear) as client, running(town, other_ear) as other:
        await enter(client, "ann")
        await other.login("ann", "pw", Ed25519PrivateKey.generate())
        for each in (ear, other_ear):
            for _ in town.trackers:
                await each.sessions.get()
        await client.revoke_others(request_kind)
        assert isinstance(lost[0], results.LoggedIn)
        assert await other_ear.identities.get() is None
        assert await client.call(requests.CreateGroup("lab")) == Done()
        while client.count_sessions() < tracker_count:
            await ear.sessions.get()
        assert client.identity is not None
        authority = load_pem_x509_certificate(town.authority_pem)
        assert member_of(client.identity.certificate_pem, authority, time.time()).generation == 1

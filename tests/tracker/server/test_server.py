import asyncio
import contextlib
import hashlib
import secrets
import ssl
from typing import TYPE_CHECKING, Any, cast, get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event

from tests.testkit.floods.storm import client_hello
from tracker.client.connection import TrackerConnection, fetch_authority
from tracker.client.errors import TrackerLost, UntrustedTracker
from tracker.protocol import events, framing, manifests, requests, results
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.authority import make_authority
from tracker.protocol.events import Bulletin, Event
from tracker.protocol.results import Done, LoggedIn, Refused
from tracker.rules import connection_limits
from tracker.server import server
from tracker.store.store import SqlStore

if TYPE_CHECKING:
    from tests.tracker.conftest import Town

ONE_OF_EACH: list[requests.Request] = [
    requests.Renew(),
    requests.Logout(),
    requests.ChangePassword("pw", "better"),
    requests.RevokeSessions(),
    requests.CreateInvite(bytes(32), 3600),
    requests.CreateGroup("lab"),
    requests.JoinGroup("lab"),
    requests.LeaveGroup("lab"),
    requests.RemoveMember("lab", "ann"),
    requests.TransferOwnership("lab", "ann"),
    requests.FetchAudit("lab"),
    requests.ListRequests("lab"),
    requests.AcceptRequest("lab", "ann"),
    requests.RejectRequest("lab", "ann"),
    requests.ListGroups(),
    requests.ListFiles("lab"),
    manifests.Publish("lab", "a", 0, 1 << 18, bytes(32), b""),
    manifests.PutPage("lab", bytes(32)),
    manifests.FetchManifest("lab", "a"),
    manifests.FetchPage("lab", "a", bytes(32), 0),
    requests.Withdraw("lab", "a"),
    requests.Announce("", 1, []),
    requests.AnnounceChange([], []),
    requests.Heartbeat(),
    requests.FindPeers("lab", bytes(32), 1),
    requests.GetTicket("lab"),
]


class Ends:
    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.closed: asyncio.Queue[str] = asyncio.Queue()

    def hear(self, event: Event | Bulletin) -> None:
        self.events.put_nowait(event.event if isinstance(event, Bulletin) else event)


async def connect(town: "Town", ends: Ends | None = None, index: int = 0) -> TrackerConnection:
    ends = ends or Ends()
    return await TrackerConnection.open(
        town.trackers[index].address, town.authority_pem, ends.hear, ends.closed.put_nowait, 5
    )


async def login(connection: TrackerConnection, user_id: str) -> None:
    key = Ed25519PrivateKey.generate()
    await connection.call(requests.CreateUser(user_id, "pw"))
    proof = key.sign(requests.login_challenge(connection.nonce, user_id))
    request = requests.Login(user_id, "pw", key.public_key().public_bytes_raw(), proof)
    assert isinstance(await connection.call(request), LoggedIn)


async def open_raw(address: TrackerAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection past its welcome, for saying what no client says."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    length = int.from_bytes(await reader.readexactly(4), "big")
    assert isinstance(framing.decode_from_tracker(await reader.readexactly(length)), events.Welcome)
    return reader, writer


async def test_every_request_but_three_needs_a_session(town: "Town") -> None:
    connection = await connect(town)
    asked = {type(request) for request in ONE_OF_EACH}
    assert set(get_args(requests.Request)) - asked == {
        requests.CreateUser,
        requests.Login,
        requests.Resume,
    }
    for request in ONE_OF_EACH:
        assert await connection.call(request) == Refused("not_logged_in", "log in first")
    await connection.close()


async def test_pipelined_calls_are_answered_in_order(town: "Town") -> None:
    connection = await connect(town)
    await login(connection, "ann")
    done: list[int] = []

    async def ask(number: int) -> None:
        assert await connection.call(requests.CreateGroup(f"g{number}")) == Done()
        done.append(number)

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert done == list(range(20))
    await connection.close()


def a_file(name: str) -> manifests.Publish:
    return manifests.Publish("lab", name, 0, 1 << 18, hashlib.sha256(name.encode()).digest(), b"")


async def test_files_published_one_behind_the_other_are_written_together(town: "Town") -> None:
    connection = await connect(town)
    await login(connection, "ann")
    await connection.call(requests.CreateGroup("lab"))
    engine: Any = cast(SqlStore, town.trackers[0].store)._readers
    commits: list[object] = []
    event.listen(engine.sync_engine, "commit", commits.append)
    names = [f"file{number:02}" for number in range(40)]
    calls = [connection.call(a_file(name)) for name in [*names, "file00"]]
    answers = await asyncio.gather(*calls)
    assert answers == [manifests.Published(False)] * 40 + [manifests.Published(True)]
    assert len(commits) < 20
    listed = await connection.call(requests.ListFiles("lab"))
    assert isinstance(listed, results.Files)
    assert [file.name for file in listed.files] == names
    await connection.close()


async def test_whatever_stands_between_published_files_is_answered_in_its_place(town: "Town") -> None:
    connection = await connect(town)
    await login(connection, "ann")
    await connection.call(requests.CreateGroup("lab"))
    sent_requests: list[requests.Request] = [
        a_file("a"), a_file("b"), requests.ListFiles("lab"), a_file("c"),
        requests.Withdraw("lab", "c"),
        requests.ListFiles("lab"), manifests.Publish("other", "d", 0, 1 << 18, bytes(32), b""), a_file("d"),
        requests.ListFiles("lab"),
    ]  # fmt: skip
    answers = await asyncio.gather(*(connection.call(request) for request in sent_requests))
    listed = [[file.name for file in answer.files] for answer in answers if isinstance(answer, results.Files)]
    assert listed == [["a", "b"], ["a", "b"], ["a", "b", "d"]]
    assert isinstance(answers[6], Refused)
    await connection.close()


async def test_a_published_file_does_not_wait_for_one_of_which_only_a_part_has_come(town: "Town") -> None:
    connection = await connect(town)
    await login(connection, "ann")
    await connection.call(requests.CreateGroup("lab"))
    following = framing.encode_frame(requests.Call(2**31, secrets.token_bytes(16), a_file("b")))
    for cut in (2, 4, len(following) - 1):
        publishing = asyncio.create_task(connection.call(a_file(f"a{cut}")))
        await asyncio.sleep(0)
        connection._writer.write(following[:cut])
        assert await publishing == manifests.Published(False)
        connection._writer.write(following[cut:])
        assert isinstance(await connection.call(manifests.FetchManifest("lab", "b", 0)), manifests.Manifest)
        assert isinstance(await connection.call(requests.Withdraw("lab", "b")), results.Withdrawn)
        following = framing.encode_frame(requests.Call(2**31, secrets.token_bytes(16), a_file("b")))
    await connection.close()


async def test_events_reach_the_one_they_concern(town: "Town") -> None:
    ends = Ends()
    owner, asker = await connect(town, ends), await connect(town)
    await login(owner, "ann")
    await login(asker, "bob")
    await owner.call(requests.CreateGroup("lab"))
    await asker.call(requests.JoinGroup("lab"))
    async with asyncio.timeout(5):
        assert await ends.events.get() == events.RequestArrived("lab", "bob")
    await owner.close()
    await asker.close()
    assert "closed" in ends.closed.get_nowait()


async def test_two_trackers_know_a_request_by_its_id(town: "Town") -> None:
    await town.open_tracker()
    first, second = await connect(town), await connect(town, index=1)
    await login(first, "ann")
    await login(second, "ann")
    request_id = secrets.token_bytes(16)
    for connection in (first, second):
        assert await connection.call(requests.CreateGroup("lab"), request_id) == Done()
    answer = await second.call(requests.CreateGroup("lab"))
    assert isinstance(answer, Refused)
    assert answer.code == "group_taken"
    await first.close()
    await second.close()


async def test_the_authority_can_be_fetched_before_it_is_trusted(town: "Town") -> None:
    assert await fetch_authority(town.trackers[0].address, 5) == town.authority_pem


async def test_an_unknown_authority_is_shown_with_both_fingerprints(town: "Town") -> None:
    _, other_pem = make_authority(1.8e9)
    with pytest.raises(UntrustedTracker) as caught:
        await TrackerConnection.open(town.trackers[0].address, other_pem, print, print, 5)
    assert caught.value.expected != caught.value.presented
    assert caught.value.presented in str(caught.value)


async def test_nobody_listening_is_a_lost_tracker(town: "Town") -> None:
    address = town.trackers[0].address
    await town.shut(town.trackers[0])
    with pytest.raises(TrackerLost, match="no tracker is running"):
        await fetch_authority(address, 5)


async def test_a_bad_request_is_answered_and_ends_the_connection(town: "Town") -> None:
    reader, writer = await open_raw(town.trackers[0].address)
    payload = msgspec.msgpack.encode([7, bytes(16), ["no_such_request"]])
    writer.write(len(payload).to_bytes(4, "big") + payload)
    async with asyncio.timeout(5):
        rest = await reader.read()
    reply = framing.decode_from_tracker(rest[4:])
    assert isinstance(reply, results.Reply)
    assert isinstance(reply.result, Refused)
    assert (reply.seq, reply.result.code) == (7, "bad_request")
    assert "Traceback" not in reply.result.message
    writer.close()


@pytest.mark.parametrize(
    "said", [b"\xff\xff\xff\xff", (65537).to_bytes(4, "big"), b"\0\0\0\0", b"\0\0\0\x03abc", b"GET / HTTP/1.1\r\n\r\n"]
)
async def test_garbage_ends_its_own_connection_only(town: "Town", said: bytes) -> None:
    bystander = await connect(town)
    reader, writer = await open_raw(town.trackers[0].address)
    writer.write(said)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert isinstance(await bystander.call(requests.Heartbeat()), Refused)
    writer.close()
    await bystander.close()


async def test_a_large_frame_is_for_members(town: "Town") -> None:
    publish = manifests.Publish("lab", "a", 4096 << 18, 1 << 18, bytes(32), bytes(32 * 4096))
    stranger, member = await connect(town), await connect(town)
    with pytest.raises(TrackerLost):
        await stranger.call(publish)
    await login(member, "ann")
    await member.call(requests.CreateGroup("lab"))
    assert await member.call(publish) == manifests.Published(False)
    manifest = await member.call(manifests.FetchManifest("lab", "a"))
    assert isinstance(manifest, manifests.Manifest)
    assert manifest.leaves == publish.leaves
    await member.close()


async def test_a_silent_stranger_is_sent_away(town: "Town", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STRANGER_IDLE_S", 0.05)
    reader, writer = await open_raw(town.trackers[0].address)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_first_message_in_portions_is_answered_when_it_is_whole(town: "Town") -> None:
    address = town.trackers[0].address
    reader, writer = await asyncio.open_connection(address.host, address.port)
    hello = client_hello()
    for part in (hello[:3], hello[3:50], hello[50:-1]):
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(hello[-1:])
    async with asyncio.timeout(5):
        assert await reader.readexactly(1) == hello[:1]
    writer.close()


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\xff\xff"])
async def test_what_does_not_begin_with_tls_is_hung_up_on_at_once(town: "Town", first: bytes) -> None:
    address = town.trackers[0].address
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(first)
    async with asyncio.timeout(1):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_one_address_has_a_bounded_number_of_members(town: "Town", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "CONNECTIONS_PER_ADDRESS_MAX", 1)
    first = await connect(town)
    await login(first, "ann")
    with pytest.raises(TrackerLost):
        await connect(town)
    assert isinstance(await first.call(requests.Heartbeat()), results.Alive)
    await first.close()


async def test_strangers_keep_nobody_out(town: "Town", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "CONNECTIONS_MAX", 3)
    ends = Ends()
    silent = await connect(town, ends)
    others = [await connect(town) for _ in range(3)]
    async with asyncio.timeout(5):
        assert "closed" in await ends.closed.get()
    await login(others[-1], "ann")
    for each in (silent, *others):
        await each.close()


async def test_a_client_that_does_not_read_is_cut_off(town: "Town", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNREAD_BYTES_MAX", 1 << 16)
    ends = Ends()
    owner, asker = await connect(town, ends), await connect(town)
    await login(owner, "ann")
    await login(asker, "bob")
    await owner.call(requests.CreateGroup("lab"))
    owner._reader._transport.pause_reading()  # type: ignore[attr-defined]
    (connection,) = town.trackers[0].service._state.sessions.connections_of("ann")
    event = events.PeerJoined("lab", bytes(32), events.Peer("bob", "h" * 1_000_000, 1, bytes(32), True))
    # More than the kernel's socket buffers and the bound together could hold.
    for _ in range(200):
        connection.push(event)
    owner._reader._transport.resume_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        assert "closed" in await ends.closed.get()
    assert isinstance(await asker.call(requests.Heartbeat()), results.Alive)
    await owner.close()
    await asker.close()

"""What no client of ours would send, to a serving peer and to the tracker: it ends that connection and nothing else."""

import contextlib
import resource
import secrets
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from engine.settings import Settings
from engine.wire.codec import HEADER, encode
from engine.wire.messages import (
    PROTOCOL_VERSION,
    Bye,
    Cancel,
    Close,
    Closed,
    Have,
    Hello,
    Message,
    Mismatch,
    Open,
    Opened,
    PieceHeader,
    Refused,
    Reject,
    Renew,
    Request,
    Role,
)
from tests.engine.wire.samples import EXAMPLES
from tests.hostile.arena import GROUP, OPEN_GROUP, Arena
from tests.testkit.processes import LOOPBACK
from tests.testkit.raw_member import RawLink, RawMember, RawTracker
from tracker.protocol import framing, manifests, requests, results

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("hostile frames")]

_REQUEST = struct.Struct("!IIIII")
U32 = 2**32 - 1


def opened(arena: Arena) -> RawLink:
    link = arena.dial(arena.mallory)
    assert isinstance(arena.ask_for(link, arena.mallory.ticket(GROUP)), Opened)
    return link


def assert_ended(link: RawLink) -> None:
    """The link is closed, with a reason or without, and no byte of the file came."""
    assert link.is_ended_by_peer()
    assert link.body_bytes == 0
    link.close()


def frame(kind: int, payload: bytes, length: int | None = None, flags: int = 0) -> bytes:
    return HEADER.pack(kind, flags, 0, len(payload) if length is None else length) + payload


@pytest.mark.parametrize(
    "said",
    [
        Request(1, 1, 0, 0, (32,)),
        Request(1, 1, 0, 0, (U32,)),
        Request(1, 1, U32, 1, (0,)),
        Request(1, 1, 0, U32, (0,)),
        Request(1, 1, 1 << 18, 1, (0,)),
        Request(1, 1, (1 << 18) - 1, 2, (0, 1)),
        Mismatch(1, 32),
        Mismatch(1, U32),
        Opened(1, b"\xff"),
        Refused(1, "x", "y"),
        Closed(1, "closed", "x"),
        Bye("bye"),
        Have(1, (0,)),
        Reject(1, 1),
        Hello(PROTOCOL_VERSION, Role.FETCHER),
        Open(1, GROUP, bytes(32), "again"),
        PieceHeader(1, 0, 0, 1),
    ],
)
def test_a_message_out_of_range_or_out_of_turn_ends_the_link(arena: Arena, said: Message) -> None:
    link = opened(arena)
    link.send(said)
    assert_ended(link)


@pytest.mark.parametrize(
    "said",
    [
        frame(17, b"", length=U32),
        frame(2, b"", length=1 << 20),
        frame(99, b"x"),
        frame(17, _REQUEST.pack(1, 1, 0, 0, 0), flags=1),
        frame(17, _REQUEST.pack(1, 1, 0, 0, 0)[:-2]),
        frame(17, struct.pack("!4I", 1, 1, 0, 0)),
        frame(17, struct.pack("!4I", 1, 1, 0, 0) + bytes(4 * 65)),
        frame(2, msgspec.msgpack.encode([-1, GROUP, bytes(32), "t"])),
        frame(2, msgspec.msgpack.encode([2**63, GROUP, bytes(32), "t"])),
        frame(2, msgspec.msgpack.encode([1, GROUP, bytes(31), "t"])),
        frame(2, msgspec.msgpack.encode([1, GROUP, bytes(32), "t" * 5000])),
        frame(2, b"\x91" * 1000),
        frame(2, b"\xdd\xff\xff\xff\xff"),
        frame(3, b""),
        b"\x00" * 8,
        b"\xee" * 64 + b"\x00\xff",
    ],
)
def test_bytes_that_are_no_message_end_the_link(arena: Arena, said: bytes) -> None:
    link = opened(arena)
    link.socket.sendall(said)
    link.socket.sendall(bytes(64))
    assert_ended(link)


@pytest.mark.parametrize("said", [0, 1, 7, 8, 20])
def test_a_truncated_message_is_waited_for_and_forgotten_with_its_link(arena: Arena, said: int) -> None:
    link = opened(arena)
    link.socket.sendall(encode(Request(1, 1, 0, 0, (0, 1)))[:said])
    link.close()
    arena.dial(arena.mallory).close()


def test_requests_without_end_are_cut_off_at_the_limit(arena: Arena) -> None:
    link = opened(arena)
    link.socket.settimeout(5)
    with contextlib.suppress(OSError):
        link.socket.sendall(b"".join(encode(Request(number, 1, 0, 0, (0,))) for number in range(20_000)))
    assert link.is_ended_by_peer()
    link.close()


def test_mismatches_without_end_cost_a_look_and_stop_nobodys_serving(arena: Arena) -> None:
    """What a member says of its pieces is wrong: the share goes on, the honest download too."""
    link = opened(arena)
    ticket = arena.mallory.ticket(GROUP)
    for number in range(500):
        link.send(Mismatch(1, number % arena.piece_count))
        link.send(Close(1))
        link.send(Open(1, GROUP, arena.manifest.root, ticket))
    arena.honest_download()
    assert {"share_wrong", "share_rereading"}.isdisjoint(notice["notice"] for notice in arena.ann.notices)
    link.close()


def test_links_that_ask_for_everything_and_never_read_hold_no_honest_download_up(arena: Arena) -> None:
    """More of them than there are upload slots, until they count as stuck."""
    ticket, count = arena.mallory.ticket(GROUP), arena.piece_count
    with contextlib.ExitStack() as stack:
        for _ in range(Settings().upload_slots + 4):
            link = stack.enter_context(contextlib.closing(arena.dial(arena.mallory)))
            arena.ask_for(link, ticket)
            for number in range(4 * count):
                link.send(Request(number, 1, 0, 0, (number % count,)))
        began_s = time.monotonic()
        arena.honest_download()
        assert time.monotonic() - began_s < Settings().silence_timeout_s / 2


def test_channels_without_end_are_cut_off_at_the_limit(arena: Arena) -> None:
    link = arena.dial(arena.mallory)
    ticket = arena.mallory.ticket(GROUP)
    channels_open = 0
    with contextlib.suppress(OSError, EOFError):
        for channel in range(5000):
            link.send(Open(channel, GROUP, arena.manifest.root, ticket))
            channels_open += isinstance(link.receive(), Opened)
    assert channels_open == Settings().channels_per_link
    link.close()


def test_leechers_that_ask_for_everything_and_never_read_hold_nobody_up(arena: Arena) -> None:
    links = [opened(arena) for _ in range(16)]
    everything = [Request(number, 1, 0, 0, (number % arena.piece_count,)) for number in range(128)]
    for link in links:
        link.socket.sendall(b"".join(map(encode, everything)))
    began_s = time.monotonic()
    arena.honest_download()
    assert time.monotonic() - began_s < Settings().silence_timeout_s / 2, "it waited for those who do not read"
    for link in links:
        link.close()


def test_five_thousand_connections_that_never_speak_keep_nobody_out(arena: Arena, many_descriptors: None) -> None:
    silent: list[socket.socket] = []
    try:
        for number in range(5000):
            port = arena.address.port if number % 2 else arena.world.port_of("ann")
            with contextlib.suppress(ConnectionError):  # hung up on at once is as good
                silent.append(socket.create_connection((LOOPBACK, port), 5, (f"127.0.1.{1 + number % 100}", 0)))
        began_s = time.monotonic()
        arena.again(arena.mallory).close()
        assert time.monotonic() - began_s < 2
        arena.honest_download()
    finally:
        for each in silent:
            each.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 6000:
        pytest.skip("this user may not have as many open sockets")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 6000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_same_request_twice_ends_the_link(arena: Arena) -> None:
    link = opened(arena)
    link.socket.sendall(encode(Request(1, 1, 0, 0, (0,))) * 2)
    assert link.is_ended_by_peer()
    link.close()


# ---------------------------------------------------------------- the walk over all peer messages

Stranger = tuple[RawMember, dict[str, str]]
"""An account, and by group the best ticket it ever had."""

BOTH_KINDS = pytest.mark.parametrize("is_open", [False, True], ids=["sealed", "open"])


def every_message_but(*left_out: type[Any]) -> Any:
    kinds = [kind for kind in EXAMPLES if kind not in left_out]
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: str(kind.__name__))


def test_the_examples_are_all_messages_there_are() -> None:
    """What is added to the protocol has to be added to the walk."""
    assert set(EXAMPLES) == set(get_args(Message))


@every_message_but(Hello)
@BOTH_KINDS
def test_no_message_gets_a_byte_before_the_greeting(arena: Arena, kind: type[Any], is_open: bool) -> None:
    link = arena.dial(arena.mallory, greets=False, is_open=is_open)
    link.send(EXAMPLES[kind])
    assert_ended(link)


@every_message_but()
def test_no_message_on_an_open_link_gets_a_byte_before_a_proof(arena: Arena, kind: type[Any]) -> None:
    """The example of a PROVE proves nothing."""
    link = arena.dial(arena.mallory, greets=False, is_open=True)
    link.greet()
    link.send(EXAMPLES[kind])
    assert_ended(link)


@every_message_but()
@pytest.mark.parametrize("who", ["outsider", "removed"])
@BOTH_KINDS
def test_no_message_of_a_non_member_gets_a_byte(
    arena: Arena, strangers: dict[str, Stranger], who: str, is_open: bool, kind: type[Any]
) -> None:
    """Each alone, and once more after an OPEN and a RENEW with the best ticket that this account ever had."""
    member, tickets = strangers[who]
    group_id = OPEN_GROUP if is_open else GROUP
    link = arena.dial(member, is_open=is_open)
    assert isinstance(arena.ask_for(link, tickets[group_id], group_id=group_id), Refused)
    link.send(Renew(group_id, tickets[group_id]))
    link.send(Request(7, 1, 0, 0, (0, 1, 2)))
    assert link.receive() == Reject(7, 1)
    assert_nothing_comes(arena, link, EXAMPLES[kind], Cancel(5), Close(1))


@BOTH_KINDS
def test_a_link_from_before_a_removal_gets_no_byte_by_any_message_after_it(arena: Arena, is_open: bool) -> None:
    group_id = OPEN_GROUP if is_open else GROUP
    member = arena.new_member(group_id=group_id)
    ticket = member.ticket(group_id)
    link = arena.dial(member, is_open=is_open)
    assert isinstance(arena.ask_for(link, ticket, group_id=group_id), Opened)
    arena.ann.expect(f"remove_member {group_id} {member.user_id}")
    assert isinstance(link.receive(), Closed)
    assert_nothing_comes(
        arena, link, Request(1, 1, 0, 0, (0,)), Renew(group_id, ticket), Request(2, 1, 0, 0, (0,)), Cancel(1), Close(1),
        Open(1, group_id, arena.manifest.root, ticket), Request(3, 1, 0, 0, (0,)),
    )  # fmt: skip
    member.close()


def assert_nothing_comes(arena: Arena, link: RawLink, *messages: Message) -> None:
    """Neither a channel nor a byte of a piece: until the link ends, or has answered twice more what came after."""
    with contextlib.suppress(EOFError, ConnectionError, ssl.SSLError):
        for message in messages:
            link.send(message)
        for channel in (70, 71):
            link.send(Open(channel, GROUP, arena.manifest.root, "none"))
            while not isinstance(said := link.receive(), Refused) or said.channel != channel:
                assert not isinstance(said, Opened | PieceHeader), said
    assert link.body_bytes == 0
    link.close()


@pytest.fixture(scope="module")
def strangers(shared_arena: Arena) -> Iterator[dict[str, Stranger]]:
    """One who was in no group, and one who was in both and was put out."""
    outsider, removed = shared_arena.new_outsider(f"out{secrets.token_hex(4)}"), shared_arena.new_member()
    shared_arena.let_in(removed, OPEN_GROUP)
    tickets = {group_id: removed.ticket(group_id) for group_id in (GROUP, OPEN_GROUP)}
    for group_id in tickets:
        shared_arena.ann.expect(f"remove_member {group_id} {removed.user_id}")
    wait_until_refused(shared_arena, removed, tickets)
    yield {"outsider": (outsider, dict.fromkeys(tickets, "none")), "removed": (removed, tickets)}
    outsider.close()
    removed.close()


def wait_until_refused(arena: Arena, member: RawMember, tickets: dict[str, str]) -> None:
    """ann's client may hear of a removal a moment after her shell was told that it is done."""
    deadline_s = time.monotonic() + 1
    for group_id, ticket in tickets.items():
        answer: Opened | Refused | None = None
        while not isinstance(answer, Refused):
            assert time.monotonic() < deadline_s
            link = arena.dial(member, is_open=group_id == OPEN_GROUP)
            answer = arena.ask_for(link, ticket, group_id=group_id)
            link.close()


# ---------------------------------------------------------------- the tracker


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff",
        (1 << 16).to_bytes(4, "big") + b"\x00",
        ((64 << 10) + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\xc1",
        b"\x00\x00\x03\xe8" + b"\x91" * 1000,
        b"\x00\x00\x00\x05\xdd\xff\xff\xff\xff",
        b"\x00\x00\x00\x05\xc6\xff\xff\xff\xff",
    ],
)
def test_a_strangers_frame_that_is_no_request_ends_the_connection(arena: Arena, said: bytes) -> None:
    stranger = RawTracker(arena.address)
    stranger.socket.sendall(said)
    stranger.socket.shutdown(socket.SHUT_WR)
    with contextlib.suppress(EOFError, OSError):
        answer = stranger.receive()
        assert isinstance(answer, results.Reply)
        assert isinstance(answer.result, results.Refused)
    with pytest.raises((EOFError, OSError)):
        stranger.receive()
    stranger.close()


def test_a_members_oversized_frame_ends_the_connection_before_it_is_taken(arena: Arena) -> None:
    member = arena.again(arena.mallory)
    member.tracker.socket.sendall((framing.FRAME_BYTES_MAX_MEMBER + 1).to_bytes(4, "big"))
    with pytest.raises((EOFError, OSError)):
        member.tracker.receive()
    member.close()


@pytest.mark.parametrize(
    "manifest",
    [
        (5, 1 << 18, b"", "bad_request"),
        (5, 1 << 18, bytes(64), "bad_request"),
        (5, (1 << 18) + 1, bytes(32), "bad_request"),
        (1 << 44, 1 << 18, bytes(32), "too_large"),
    ],
)
def test_a_manifest_that_cannot_be_is_not_published(arena: Arena, manifest: tuple[int, int, bytes, str]) -> None:
    size_bytes, piece_bytes, leaves, code = manifest
    answer = arena.mallory.tracker.ask(manifests.Publish(GROUP, "made-up", size_bytes, piece_bytes, bytes(32), leaves))
    assert isinstance(answer, results.Refused)
    assert answer.code == code


def test_a_manifest_that_does_not_hash_to_its_root_is_refused_by_whoever_fetches(arena: Arena) -> None:
    name = f"lie-{secrets.token_hex(4)}"
    answer = arena.mallory.tracker.ask(
        manifests.Publish(GROUP, name, 1000, 1 << 18, arena.manifest.root, secrets.token_bytes(32))
    )
    assert answer == manifests.Published(False)
    target = arena.world.new_folder()
    refused = arena.bob.run(f"download_file {GROUP} {name} {target}")
    assert refused["error"]["code"] == "bad_manifest"
    assert list(target.iterdir()) == []
    arena.mallory.tracker.ask(requests.Withdraw(GROUP, name))


def test_a_file_is_not_replaced_under_its_name(arena: Arena) -> None:
    answer = arena.mallory.tracker.ask(manifests.Publish(GROUP, "data.bin", 5, 1 << 18, bytes(32), bytes(32)))
    assert isinstance(answer, results.Refused)
    assert answer.code == "file_conflict"
    answer = arena.mallory.tracker.ask(requests.Withdraw(GROUP, "data.bin"))
    assert answer == results.Withdrawn(False, may_withdraw=["ann"])

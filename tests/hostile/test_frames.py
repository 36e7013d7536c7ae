"""What no client of ours would send, to a serving peer and to the tracker: it ends that connection and nothing else."""

import contextlib
import secrets
import socket
import struct
from typing import Any

import msgspec
import pytest

from bench.raw_member import RawLink, RawTracker
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
from tests.hostile.arena import GROUP, Arena
from tracker import framing, protocol

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
        Opened(1, b"\xff"),
        Refused(1, "x", "y"),
        Closed(1, "x"),
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


def test_the_same_request_twice_ends_the_link(arena: Arena) -> None:
    link = opened(arena)
    link.socket.sendall(encode(Request(1, 1, 0, 0, (0,))) * 2)
    assert link.is_ended_by_peer()
    link.close()


# ---------------------------------------------------------------- the walk over all peer messages


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind is not Hello], ids=lambda kind: str(kind.__name__))
def test_no_message_gets_a_byte_before_the_greeting(arena: Arena, kind: type[Any]) -> None:
    link = arena.dial(arena.mallory, greets=False)
    link.send(EXAMPLES[kind])
    assert_ended(link)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("who", ["outsider", "removed"])
def test_no_message_of_a_non_member_gets_a_byte(arena: Arena, who: str, kind: type[Any]) -> None:
    """Each alone, and once more after an OPEN and a RENEW with the best ticket that this account ever had."""
    member = _former_member(arena) if who == "removed" else arena.new_outsider(f"out{secrets.token_hex(4)}")
    ticket = _TICKETS.get(member.user_id, "none")
    link = arena.dial(member)
    try:
        link.send(Open(1, GROUP, arena.manifest.root, ticket))
        answer = link.receive()
        assert isinstance(answer, Refused), answer
        link.send(Renew(GROUP, ticket))
        link.send(Request(7, 1, 0, 0, (0, 1, 2)))
        assert link.receive() == Reject(7, 1)
        link.send(EXAMPLES[kind])
        link.send(Cancel(5))
        link.send(Close(1))
        link.socket.settimeout(0.2)
        while True:
            assert not isinstance(link.receive(), Opened | PieceHeader)
    except (OSError, EOFError, TimeoutError):
        pass
    assert link.body_bytes == 0
    link.close()
    if who == "outsider":
        member.close()


_TICKETS: dict[str, str] = {}
_FORMER: dict[int, Any] = {}


def _former_member(arena: Arena) -> Any:
    """One for the whole module: who had a ticket and was put out."""
    if id(arena) not in _FORMER:
        member = arena.new_member()
        _TICKETS[member.user_id] = member.ticket(GROUP)
        arena.ann.expect(f"remove_member {GROUP} {member.user_id}")
        _FORMER[id(arena)] = member
    return _FORMER[id(arena)]


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
        assert isinstance(answer, protocol.Reply)
        assert isinstance(answer.result, protocol.Refused)
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
    answer = arena.mallory.tracker.ask(
        protocol.Publish(GROUP, "made-up", size_bytes, piece_bytes, bytes(32), leaves)
    )
    assert isinstance(answer, protocol.Refused)
    assert answer.code == code


def test_a_manifest_that_does_not_hash_to_its_root_is_refused_by_whoever_fetches(arena: Arena) -> None:
    name = f"lie-{secrets.token_hex(4)}"
    answer = arena.mallory.tracker.ask(
        protocol.Publish(GROUP, name, 1000, 1 << 18, arena.manifest.root, secrets.token_bytes(32))
    )
    assert answer == protocol.Published(False)
    target = arena.world.new_folder()
    refused = arena.bob.run(f"download_file {GROUP} {name} {target}")
    assert refused["error"]["code"] == "bad_manifest"
    assert list(target.iterdir()) == []
    arena.mallory.tracker.ask(protocol.Withdraw(GROUP, name))


def test_a_file_is_not_replaced_under_its_name(arena: Arena) -> None:
    answer = arena.mallory.tracker.ask(protocol.Publish(GROUP, "data.bin", 5, 1 << 18, bytes(32), bytes(32)))
    assert isinstance(answer, protocol.Refused)
    assert answer.code == "file_conflict"
    assert arena.mallory.tracker.ask(protocol.Withdraw(GROUP, "data.bin")) == protocol.Withdrawn(False)

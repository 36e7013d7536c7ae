"""What a fetch link passes on: the bytes of wanted pieces exactly, and not one byte of what was taken back (I2)."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Cause
from engine.net.fetch_link import FetchLink
from engine.net.tls import Identity, PeerIdentity
from engine.wire.codec import encode
from engine.wire.link_state import CUT_BYTES
from engine.wire.messages import (
    PROTOCOL_VERSION,
    REREADING,
    Bye,
    Cancel,
    Close,
    Closed,
    Have,
    Hello,
    Mismatch,
    Neighbour,
    Opened,
    PieceHeader,
    Refused,
    Reject,
    RejectReason,
    Request,
    Role,
)
from tests.engine.net.fake_transport import FakeTransport, feed, say
from tests.testkit.builders import bounded, geometry_of
from tests.testkit.fakes import Club

PIECE = 256 << 10
BLOCK = 64 << 10
SLICE = 100_000
CLUB = Club()
ANN, BOB = CLUB.member("ann"), CLUB.member("bob")


@dataclass
class FakeSink:
    data: bytearray = field(default_factory=bytearray)
    is_finished: bool = False
    fails: bool = False

    def write(self, block: memoryview) -> None:
        assert 0 < len(block) <= BLOCK
        if self.fails:
            raise OSError(28, "No space left on device")
        self.data += block

    def finish(self) -> bool:
        self.is_finished = True
        return True

    def digest(self) -> bytes:
        self.is_finished = True
        return b"hash"


@dataclass
class FakeListener:
    """Keeps all news as (name, number, …) and hands out a sink per piece."""

    news: list[tuple[object, ...]] = field(default_factory=list)
    sinks: dict[int, FakeSink] = field(default_factory=dict)
    next_sink: FakeSink = field(default_factory=FakeSink)
    wasted_bytes: int = 0

    def link_up(self, peer: PeerIdentity) -> None:
        self.news.append(("up", peer.user_id))

    def channel_opened(self, channel: int, bitfield: bytes) -> None:
        self.news.append(("opened", channel))

    def channel_refused(self, channel: int, code: str, reason: str) -> None:
        self.news.append(("refused", channel, code))

    def peer_has(self, channel: int, pieces: tuple[int, ...], *, is_busy: bool) -> None:
        self.news.append(("has", channel, pieces))

    def peers_named(self, channel: int, peers: tuple[Neighbour, ...]) -> None:
        self.news.append(("named", channel, peers))

    def sink_for(self, request_id: int, channel: int, piece: int, begin: int) -> FakeSink:
        self.sinks[piece], self.next_sink = self.next_sink, FakeSink()
        return self.sinks[piece]

    def granted(self, request_id: int, channel: int, piece: int) -> None:
        self.news.append(("granted", request_id, piece))

    def received(self, request_id: int, channel: int, piece: int, is_good: bool) -> None:
        self.news.append(("received", request_id, piece))

    def received_part(self, request_id: int, channel: int, digest: bytes) -> None:
        self.news.append(("part", request_id, digest))

    def wasted(self, channel: int, count: int) -> None:
        self.wasted_bytes += count

    def request_rejected(self, request_id: int, channel: int, after_s: float) -> None:
        self.news.append(("put off", request_id, channel, after_s) if after_s else ("rejected", request_id, channel))

    def write_failed(self, channel: int, error: OSError) -> None:
        self.news.append(("write_failed", channel, error.errno))

    def link_down(self, cause: Cause, reason: str) -> None:
        self.news.append(("down", cause))


def a_link() -> tuple[FetchLink, FakeListener, FakeTransport]:
    """Ann's link to Bob, greeted, with channel 1 of three pieces open and its news so far forgotten."""
    listener, transport = FakeListener(), FakeTransport(BOB)
    identity = Identity(ANN.identity.certificate_pem, ANN.identity.key_pem, ANN.identity.authority_pem)
    link = FetchLink(listener, identity, BOB.thumbprint, BLOCK, is_open=False)
    link.connection_made(transport)
    say(link, Hello(PROTOCOL_VERSION, Role.SERVER))
    link.open_channel(1, geometry_of(3), "lab", bytes(32), "ticket")
    say(link, Opened(1, b"\xe0"))
    assert listener.news == [("up", "bob"), ("opened", 1)]
    listener.news.clear()
    transport.take()
    return link, listener, transport


def body_of(piece: int) -> bytes:
    return random.Random(piece).randbytes(PIECE)


def slices_of(request_id: int, piece: int, begin: int = 0, end: int = PIECE) -> bytes:
    """The slices from `begin` to `end`, headers and bytes."""
    stream, body = b"", body_of(piece)
    for start in range(begin, end, SLICE):
        part = body[start : min(start + SLICE, end)]
        stream += encode(PieceHeader(request_id, piece, start, len(part))) + part
    return stream


@given(portions=st.lists(st.integers(1, 150_000), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) > 3000))
@bounded(40)
def test_pieces_reach_their_sinks_exactly_in_any_portions(portions: list[int]) -> None:
    link, listener, _ = a_link()
    for request_id, piece in ((5, 1), (6, 0)):
        link.ask(request_id, 1, (piece, 2))
    feed(link, slices_of(5, 1) + slices_of(6, 0), portions)
    assert listener.news == [("granted", 5, 1), ("received", 5, 1), ("granted", 6, 0), ("received", 6, 0)]
    assert {piece: bytes(sink.data) for piece, sink in listener.sinks.items()} == {1: body_of(1), 0: body_of(0)}


@pytest.mark.parametrize("arrived", [50_000, SLICE, SLICE + 50_000])
def test_after_a_cancel_not_one_more_byte_reaches_the_sink(arrived: int) -> None:
    link, listener, transport = a_link()
    link.ask(5, 1, (0,))
    link.ask(6, 1, (1,))
    stream = slices_of(5, 0)
    cut = arrived + 24 * (1 + (arrived - 1) // SLICE)
    feed(link, stream[:cut])
    link.cancel(5)
    before = bytes(listener.sinks[0].data)
    feed(link, stream[cut:] + slices_of(6, 1))
    assert transport.take()[-1] == Cancel(5)
    assert bytes(listener.sinks[0].data) == before
    assert not listener.sinks[0].is_finished
    assert bytes(listener.sinks[1].data) == body_of(1)
    assert listener.news == [("granted", 5, 0), ("granted", 6, 1), ("received", 6, 1)]


@pytest.mark.parametrize("arrived", [50_000, SLICE, SLICE + 50_000])
def test_after_closing_a_channel_not_one_more_byte_reaches_the_sink(arrived: int) -> None:
    link, listener, transport = a_link()
    link.ask(5, 1, (0,))
    stream = slices_of(5, 0)
    cut = arrived + 24 * (1 + (arrived - 1) // SLICE)
    feed(link, stream[:cut])
    link.close_channel(1)
    before = bytes(listener.sinks[0].data)
    feed(link, stream[cut:])
    assert transport.take()[-1] == Close(1)
    assert bytes(listener.sinks[0].data) == before
    assert listener.news == [("granted", 5, 0)]


def test_after_a_mismatch_not_one_more_byte_of_the_file_is_kept() -> None:
    link, listener, transport = a_link()
    link.ask(5, 1, (0,))
    link.ask(6, 1, (1,))
    feed(link, slices_of(5, 0), [1 << 20])
    transport.take()
    link.send_mismatch(1, 0)
    assert transport.take() == [Mismatch(1, 0)]
    listener.news.clear()
    feed(link, slices_of(6, 1), [1 << 20])
    feed(link, encode(Have(1, (2,))), [1 << 20])
    assert listener.news == []
    feed(link, encode(Closed(1, REREADING, "a moment")), [1 << 20])
    assert listener.news == [("refused", 1, REREADING)]


@pytest.mark.parametrize("end", [Closed(1, "closed", "not shared here any more"), Refused(1, "no", "no")])
def test_after_the_server_closed_a_channel_not_one_more_byte_reaches_the_sink(end: Closed | Refused) -> None:
    """Others were given the piece by then: a hostile server could overwrite what they fetched and we verified."""
    link, listener, _ = a_link()
    link.ask(5, 1, (0,))
    feed(link, slices_of(5, 0, end=SLICE))
    say(link, end)
    before = bytes(listener.sinks[0].data)
    assert before
    feed(link, slices_of(5, 0, begin=SLICE))
    assert bytes(listener.sinks[0].data) == before
    link.ask(6, 1, (1,))  # this order was on its way when the channel ended
    feed(link, slices_of(6, 1))
    assert list(listener.sinks) == [0]
    assert listener.news == [("granted", 5, 0), ("refused", 1, end.code if isinstance(end, Refused) else "closed")]


LONG = 1 << 20


def a_link_with_long_pieces() -> tuple[FetchLink, FakeListener, FakeTransport]:
    """The same, with a channel 2 of pieces of a MiB."""
    link, listener, transport = a_link()
    link.open_channel(2, geometry_of(2, last_bytes=LONG, piece_bytes=LONG), "lab", bytes(32), "ticket")
    say(link, Opened(2, b"\xc0"))
    listener.news.clear()
    transport.take()
    return link, listener, transport


def quarter(request_id: int, number: int) -> bytes:
    return encode(PieceHeader(request_id, 0, number * CUT_BYTES, CUT_BYTES)) + bytes([number]) * CUT_BYTES


def test_a_request_that_is_cut_ends_in_the_middle_and_what_still_comes_is_thrown_away() -> None:
    link, listener, transport = a_link_with_long_pieces()
    link.ask(5, 2, (0,))
    feed(link, quarter(5, 0) + quarter(5, 1)[:1000])
    assert link.cut(5) == 3 * CUT_BYTES
    assert transport.take()[-1] == Cancel(5, 3 * CUT_BYTES)
    feed(link, quarter(5, 1)[1000:] + quarter(5, 2))
    assert listener.news == [("granted", 5, 0), ("part", 5, b"hash")]
    assert len(listener.sinks[0].data) == 3 * CUT_BYTES
    feed(link, quarter(5, 3))  # it was on its way when the server heard of the cut
    assert len(listener.sinks[0].data) == 3 * CUT_BYTES
    assert listener.wasted_bytes == CUT_BYTES


def test_a_cut_request_may_be_rejected_where_it_was_to_end() -> None:
    link, listener, _ = a_link_with_long_pieces()
    link.ask(5, 2, (0,))
    feed(link, quarter(5, 0)[:5000])
    assert link.cut(5) == 3 * CUT_BYTES
    feed(link, quarter(5, 0)[5000:] + quarter(5, 1) + quarter(5, 2) + encode(Reject(5, 4)))
    assert listener.news == [("granted", 5, 0), ("part", 5, b"hash"), ("rejected", 5, 2)]
    assert listener.wasted_bytes == 0


def test_slices_may_lie_across_the_place_of_a_cut() -> None:
    link, listener, _ = a_link_with_long_pieces()
    link.ask(5, 2, (0,))
    feed(link, quarter(5, 0)[:5000])
    at = link.cut(5)
    feed(link, quarter(5, 0)[5000:] + encode(PieceHeader(5, 0, CUT_BYTES, 3 * CUT_BYTES)) + bytes(3 * CUT_BYTES))
    assert len(listener.sinks[0].data) == at
    assert listener.wasted_bytes == LONG - at


@pytest.mark.parametrize("arrived", [0, 3])
def test_what_has_not_begun_or_is_nearly_whole_is_not_cut(arrived: int) -> None:
    link, _, _ = a_link_with_long_pieces()
    link.ask(5, 2, (0,))
    feed(link, b"".join(quarter(5, number) for number in range(arrived)) + (quarter(5, 3)[:100] if arrived else b""))
    assert link.cut(5) == 0
    assert link.cut(99) == 0


def test_a_range_of_a_piece_is_received_as_a_part() -> None:
    link, listener, transport = a_link_with_long_pieces()
    link.ask(5, 2, (0,), 3 * CUT_BYTES, CUT_BYTES)
    assert transport.take()[-1] == Request(5, 2, 3 * CUT_BYTES, CUT_BYTES, (0,))
    feed(link, quarter(5, 3))
    assert listener.news == [("granted", 5, 0), ("part", 5, b"hash")]


def test_what_came_of_a_request_that_was_taken_back_counts_as_wasted() -> None:
    link, listener, _ = a_link_with_long_pieces()
    link.ask(5, 2, (0,))
    feed(link, quarter(5, 0) + quarter(5, 1)[:BLOCK])
    link.cancel(5)
    feed(link, quarter(5, 1)[BLOCK:])
    assert listener.wasted_bytes == 2 * CUT_BYTES


def test_who_is_put_off_hears_for_how_long() -> None:
    link, listener, _ = a_link()
    link.ask(5, 1, (0,))
    feed(link, encode(Reject(5, RejectReason.LATER, 300)))
    assert listener.news == [("put off", 5, 1, 0.3)]


def test_a_rejected_piece_is_not_finished_and_the_next_one_is() -> None:
    link, listener, _ = a_link()
    link.ask(5, 1, (0,))
    link.ask(6, 1, (1,))
    feed(link, slices_of(5, 0, end=SLICE) + encode(Reject(5, 3)) + slices_of(6, 1))
    assert listener.news == [("granted", 5, 0), ("rejected", 5, 1), ("granted", 6, 1), ("received", 6, 1)]
    assert not listener.sinks[0].is_finished


def test_a_write_error_is_told_once_and_the_link_goes_on() -> None:
    link, listener, transport = a_link()
    listener.next_sink = FakeSink(fails=True)
    link.ask(5, 1, (0,))
    link.ask(6, 1, (1,))
    feed(link, slices_of(5, 0) + slices_of(6, 1))
    assert listener.news == [("granted", 5, 0), ("write_failed", 1, 28), ("granted", 6, 1), ("received", 6, 1)]
    assert not transport.is_aborted


@pytest.mark.parametrize(
    "wrong",
    [
        b"\xff" * 8,
        encode(Hello(PROTOCOL_VERSION, Role.SERVER)),
        encode(PieceHeader(9, 0, 0, 10)),
        bytes([16, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]),
    ],
    ids=["junk", "hello again", "not asked for", "empty have"],
)
def test_whoever_breaks_the_protocol_is_hung_up_on_and_blamed(wrong: bytes) -> None:
    link, listener, transport = a_link()
    feed(link, wrong)
    assert transport.is_aborted
    link.connection_lost(None)
    assert listener.news == [("down", "broke_protocol")]


def test_a_goodbye_is_nobodys_fault() -> None:
    link, listener, transport = a_link()
    say(link, Bye("logged out"))
    assert transport.is_aborted
    link.connection_lost(None)
    assert listener.news == [("down", "hung_up")]


def test_a_server_with_another_key_than_the_tracker_named_is_not_talked_to_but_not_blamed() -> None:
    """It may have logged in anew, and so have a new key, while we hold its old one."""
    listener, transport = FakeListener(), FakeTransport(CLUB.member("bob"))
    identity = Identity(ANN.identity.certificate_pem, ANN.identity.key_pem, ANN.identity.authority_pem)
    link = FetchLink(listener, identity, BOB.thumbprint, BLOCK, is_open=False)
    link.connection_made(transport)
    assert transport.is_aborted
    assert transport.take() == []
    link.connection_lost(None)
    assert listener.news == [("down", "other_peer")]


def test_a_link_that_is_ended_while_it_is_dialled_does_not_come_up() -> None:
    listener, transport = FakeListener(), FakeTransport(BOB)
    identity = Identity(ANN.identity.certificate_pem, ANN.identity.key_pem, ANN.identity.authority_pem)
    link = FetchLink(listener, identity, BOB.thumbprint, BLOCK, is_open=False)
    link.end("idle")
    link.connection_made(transport)
    assert (transport.is_aborted, transport.take()) == (True, [])
    link.connection_lost(None)
    assert listener.news == [("down", "ended_here")]

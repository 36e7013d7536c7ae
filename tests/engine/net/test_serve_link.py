"""What a serve link lets out: pieces that are there, on channels that are open, while their ticket lasts (I1, I4)."""

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.net.admission import Grant, Refusal, ServedFile
from engine.net.piece_sender import PieceSender
from engine.net.serve_link import ServeLink
from engine.net.tls import Identity, PeerIdentity
from engine.settings import Settings
from engine.swarm.geometry import Geometry
from engine.swarm.sender_choice import CLOCKS, PUT_OFF_S_MAX, SentPieces
from engine.swarm.slice_length import SHORTEST_BYTES
from engine.swarm.upload_slots import UploadSlots
from engine.wire.messages import (
    PROTOCOL_VERSION,
    Bye,
    Cancel,
    Close,
    Closed,
    Gossip,
    Hello,
    Mismatch,
    Neighbour,
    Open,
    Opened,
    PieceHeader,
    Refused,
    Reject,
    RejectReason,
    Renew,
    Request,
    Role,
)
from tests.engine.net.fake_transport import FakeTransport, say
from tests.testkit.builders import geometry_of
from tests.testkit.fakes import Club

CLUB = Club()
ANN, BOB = CLUB.member("ann"), CLUB.member("bob")
PIECE = 1 << 20


class FakeFile:
    file_id = 7

    def __init__(self, have: list[int] | None = None) -> None:
        self.geometry: Geometry = geometry_of(4, last_bytes=PIECE, piece_bytes=PIECE)
        self.have = np.array(have or [1, 1, 1, 1], np.uint8)
        self.sent = SentPieces(np.zeros(4, np.uint32), np.zeros(CLOCKS), 8, PIECE)
        self.is_broken = False

    def read(self, offset: int, length: int) -> bytes:
        if self.is_broken:
            raise OSError(116, "changed")
        return bytes(length)

    def descriptor(self) -> int:
        raise AssertionError("only for open links")


@dataclass
class FakeGate:
    """Admits the groups it knows, one file each. It is the listener of its links, too."""

    files: dict[str, FakeFile] = field(default_factory=lambda: {"lab": FakeFile(), "team": FakeFile()})
    life_s: float = 600.0
    epoch: int = 1
    broken: list[ServedFile] = field(default_factory=list)
    mismatches: list[tuple[str, int]] = field(default_factory=list)
    has_room: bool = True

    def admit(self, peer: PeerIdentity, message: Open, *, is_open: bool) -> tuple[ServedFile, Grant]:
        if message.group_id not in self.files:
            raise Refusal("no_such_file", "not shared here")
        return self.files[message.group_id], self._grant()

    def judge(self, peer: PeerIdentity, group_id: str, ticket: str, *, is_open: bool) -> Grant:
        return self._grant()

    def _grant(self) -> Grant:
        return Grant(self.epoch, time.time() + self.life_s)

    def proven(self, link: ServeLink, peer: PeerIdentity) -> bool:
        return self.has_room

    def unreadable(self, file: ServedFile, error: OSError) -> None:
        self.broken.append(file)

    def mismatch_received(self, peer: PeerIdentity, file: ServedFile, piece: int) -> None:
        self.mismatches.append((peer.user_id, piece))

    def link_lost(self, link: ServeLink) -> None:
        pass


def a_link(
    gate: FakeGate, slots: UploadSlots[PieceSender] | None = None, groups: str = "lab", settings: Settings | None = None
) -> tuple[ServeLink, FakeTransport]:
    """Bob serves Ann, who has greeted and opened a channel 1, 2, … for each of the groups."""
    identity = Identity(BOB.identity.certificate_pem, BOB.identity.key_pem, BOB.identity.authority_pem)
    link = ServeLink(gate, gate, slots or UploadSlots(8), settings or Settings(), identity, is_open=False)
    transport = FakeTransport(ANN)
    link.connection_made(transport)
    say(link, Hello(PROTOCOL_VERSION, Role.FETCHER))
    for channel, group_id in enumerate(groups.split(), 1):
        say(link, Open(channel, group_id, bytes(32), "ticket"))
        assert isinstance(transport.take()[-1], Opened)
    return link, transport


async def turns(count: int = 60) -> None:
    """Let what was put off to later turns of the loop happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def pieces_in(said: list[object]) -> list[int]:
    """The pieces of which slices were sent, each run of slices once."""
    headers = [each for each in said if isinstance(each, PieceHeader)]
    return [header.piece for header in headers if not header.begin]


async def test_a_request_is_answered_with_all_slices_of_one_candidate() -> None:
    link, transport = a_link(FakeGate())
    say(link, Request(5, 1, 0, 0, (2, 3)))
    await turns()
    headers = [each for each in transport.take() if isinstance(each, PieceHeader)]
    assert {(header.request_id, header.piece) for header in headers} == {(5, 2)}
    assert sum(header.length for header in headers) == PIECE


async def test_the_candidate_sent_least_is_chosen() -> None:
    gate = FakeGate()
    sent = gate.files["lab"].sent
    sent.goes_on(time.monotonic())
    sent.counts[:] = [3, 1, 2, 1]
    link, transport = a_link(gate)
    for request_id in range(4):
        say(link, Request(request_id, 1, 0, 0, (0, 1, 2)))
    await turns()
    assert pieces_in([*transport.take()]) == [1, 1, 2, 0]
    assert gate.files["lab"].sent.counts.tolist() == [4, 3, 3, 1]


async def test_who_asks_again_while_the_last_first_copy_is_on_its_way_is_put_off() -> None:
    gate = FakeGate()
    link, transport = a_link(gate)
    sent = gate.files["lab"].sent
    sent.goes_on(time.monotonic() - 4.0)  # a second a piece
    sent.counts[:] = [1, 1, 1, 0]
    say(link, Request(5, 1, 0, 0, (0, 3)), Request(6, 1, 0, 0, (0, 3)))
    await turns()
    said = transport.take()
    assert pieces_in([*said]) == [3]
    reject = next(each for each in said if isinstance(each, Reject))
    assert (reject.request_id, reject.reason) == (6, RejectReason.LATER)
    assert 0 < reject.after_ms <= 1000 * PUT_OFF_S_MAX


async def test_a_part_of_a_piece_is_never_put_off() -> None:
    gate = FakeGate()
    link, transport = a_link(gate)
    sent = gate.files["lab"].sent
    sent.goes_on(time.monotonic() - 4.0)
    sent.counts[:] = [1, 1, 1, 0]
    say(link, Request(5, 1, 0, 0, (3,)), Request(6, 1, SHORTEST_BYTES, SHORTEST_BYTES, (0,)))
    await turns()
    headers = [each for each in transport.take() if isinstance(each, PieceHeader)]
    assert (6, 0, SHORTEST_BYTES) in {(each.request_id, each.piece, each.begin) for each in headers}


async def test_only_pieces_that_are_there_are_sent() -> None:
    link, transport = a_link(FakeGate({"lab": FakeFile([0, 1, 0, 0])}))
    say(link, Request(5, 1, 0, 0, (0, 1, 2)), Request(6, 1, 0, 0, (0, 2, 3)))
    await turns()
    said = transport.take()
    assert pieces_in([*said]) == [1]
    assert Reject(6, RejectReason.NO_SUCH_PIECE) in said


async def test_nothing_is_sent_once_the_ticket_ended() -> None:
    gate = FakeGate(life_s=-1.0)
    link, transport = a_link(gate)
    say(link, Request(5, 1, 0, 0, (0,)), Request(6, 1, 0, 0, (1,)))
    await turns()
    said = transport.take()
    assert pieces_in([*said]) == []
    assert {each.request_id for each in said if isinstance(each, Reject)} == {5, 6}
    assert [each.channel for each in said if isinstance(each, Closed)] == [1]


async def test_a_renewed_ticket_lets_it_go_on() -> None:
    gate = FakeGate(life_s=-1.0)
    link, transport = a_link(gate)
    gate.life_s = 600.0
    say(link, Renew("lab", "ticket"), Request(5, 1, 0, 0, (0,)))
    await turns()
    assert pieces_in([*transport.take()]) == [0]


async def test_a_ticket_for_another_group_renews_nothing() -> None:
    gate = FakeGate(life_s=-1.0)
    link, transport = a_link(gate)
    gate.life_s = 600.0
    say(link, Renew("team", "ticket"), Request(5, 1, 0, 0, (0,)))
    await turns()
    assert pieces_in([*transport.take()]) == []


async def test_gossip_names_eight_at_most_and_never_the_fetcher_itself() -> None:
    gate = FakeGate()
    link, transport = a_link(gate, groups="lab team")
    others = tuple(Neighbour(f"user{number}", "192.0.2.7", 7001, bytes([number]) * 32) for number in range(9))
    link.gossip(gate.files["lab"], (Neighbour("ann", "192.0.2.1", 7001, ANN.thumbprint), *others))
    link.gossip(gate.files["team"], (Neighbour("ann", "192.0.2.1", 7001, ANN.thumbprint),))
    assert transport.take() == [Gossip(1, others[:8])]


async def test_gossip_ends_with_the_ticket() -> None:
    gate = FakeGate(life_s=-1.0)
    link, transport = a_link(gate)
    link.gossip(gate.files["lab"], (Neighbour("cy", "192.0.2.7", 7001, bytes(32)),))
    assert transport.take() == []


async def test_a_cancel_takes_effect_at_the_next_slice() -> None:
    link, transport = a_link(FakeGate())
    say(link, Request(5, 1, 0, 0, (0,)), Request(6, 1, 0, 0, (1,)))
    await turns(2)
    say(link, Cancel(5), Cancel(77))
    await turns()
    said = transport.take()
    assert sum(each.length for each in said if isinstance(each, PieceHeader) and each.request_id == 5) < PIECE
    assert sum(each.length for each in said if isinstance(each, PieceHeader) and each.request_id == 6) == PIECE
    assert Reject(5, RejectReason.CANCELLED) in said


async def test_a_cancel_from_a_byte_on_lets_the_server_send_up_to_there() -> None:
    link, transport = a_link(FakeGate())
    say(link, Request(5, 1, 0, 0, (0,)), Request(6, 1, 0, 0, (1,)))
    await turns(2)
    stop = 3 * PIECE // 4
    say(link, Cancel(5, stop), Cancel(6, stop))
    await turns()
    said = transport.take()
    assert sum(each.length for each in said if isinstance(each, PieceHeader) and each.request_id == 5) == stop
    assert [each for each in said if isinstance(each, Reject)] == [
        Reject(6, RejectReason.CANCELLED),  # it had not begun: there is nothing to keep
        Reject(5, RejectReason.CANCELLED),
    ]


async def test_a_cancel_from_a_byte_behind_the_end_changes_nothing() -> None:
    link, transport = a_link(FakeGate())
    say(link, Request(5, 1, 0, 0, (0,)))
    await turns(2)
    say(link, Cancel(5, 2 * PIECE))
    await turns()
    said = transport.take()
    assert sum(each.length for each in said if isinstance(each, PieceHeader)) == PIECE
    assert not [each for each in said if isinstance(each, Reject)]


async def test_a_close_ends_its_channel_only() -> None:
    link, transport = a_link(FakeGate(), groups="lab team")
    say(link, Request(5, 1, 0, 0, (0,)), Request(6, 1, 0, 0, (1,)), Request(7, 2, 0, 0, (2,)))
    say(link, Close(1), Request(8, 1, 0, 0, (3,)))
    await turns()
    said = transport.take()
    assert {each.request_id for each in said if isinstance(each, Reject)} == {5, 6, 8}
    assert pieces_in([*said])[-1] == 2


async def test_after_a_withdrawal_not_one_more_slice_is_sent() -> None:
    link, transport = a_link(FakeGate(), groups="lab lab lab")
    for channel in (1, 2, 3):
        say(link, Request(channel, channel, 0, 0, (0,)))
    await turns(2)
    transport.take()
    link.put_out("lab", 2, "you are not a member any more")
    await turns()
    said = transport.take()
    assert [each for each in said if isinstance(each, PieceHeader)] == []
    assert sorted(each.request_id for each in said if isinstance(each, Reject)) == [1, 2, 3]
    assert sorted(each.channel for each in said if isinstance(each, Closed)) == [1, 2, 3]


async def test_a_withdrawal_lets_nothing_out_through_another_link_of_the_same_member() -> None:
    slots: UploadSlots[PieceSender] = UploadSlots(1)
    gate = FakeGate()
    (first, _), (second, to_second) = a_link(gate, slots), a_link(gate, slots)
    for link in (first, second):
        say(link, Request(1, 1, 0, 0, (0,)))
    await turns(2)
    for link in (first, second):
        link.put_out("lab", 2, "you are not a member any more")
    await turns()
    assert [each for each in to_second.take() if isinstance(each, PieceHeader)] == []


async def test_news_of_a_removal_that_comes_late_leaves_alone_what_a_newer_ticket_has_opened() -> None:
    gate = FakeGate(epoch=2)
    link, transport = a_link(gate)
    link.put_out("lab", 2, "you are not a member any more")
    say(link, Request(5, 1, 0, 0, (0,)))
    await turns()
    assert pieces_in([*transport.take()]) == [0]
    gate.epoch = 3
    say(link, Renew("lab", "ticket"))
    link.put_out("lab", 3, "you are not a member any more")
    assert not transport.take()
    link.put_out("lab", 4, "you are not a member any more")
    assert [type(each) for each in transport.take()] == [Closed]


async def test_a_file_that_is_not_served_any_more_is_closed_in_its_group_alone() -> None:
    gate = FakeGate()
    link, transport = a_link(gate, groups="lab team")
    link.withdraw(gate.files["lab"], "closed", "not shared any more")
    assert [each.channel for each in transport.take() if isinstance(each, Closed)] == [1]


async def test_a_fetcher_that_asks_and_does_not_read_is_cut_off_before_it_fills_the_memory() -> None:
    link, transport = a_link(FakeGate(), settings=Settings(unread_bytes_per_link=1000, channels_per_link=1000))
    opens = [Open(number, "lab", bytes(32), "ticket") for number in range(10, 300)]
    link.pause_writing()
    say(link, *opens[:20])
    link.resume_writing()
    link.pause_writing()
    assert not transport.is_aborted
    transport.take()
    say(link, *opens[20:])
    assert transport.is_aborted
    assert len(transport.written) <= 1000


async def test_what_a_fetcher_calls_wrong_is_passed_on_and_it_gets_nothing_more_before_it_opens_again() -> None:
    gate = FakeGate()
    link, transport = a_link(gate)
    say(link, Request(1, 1, 0, 0, (0,)), Mismatch(1, 3), Request(2, 1, 0, 0, (1,)))
    await turns()
    assert {each.request_id for each in transport.take() if isinstance(each, Reject)} == {1, 2}
    assert gate.mismatches == [("ann", 3)]
    say(link, Close(1), Open(1, "lab", bytes(32), "ticket"), Request(3, 1, 0, 0, (1,)))
    await turns()
    assert pieces_in([*transport.take()]) == [1]


async def test_a_link_that_calls_piece_after_piece_wrong_is_heard_once_a_second() -> None:
    gate = FakeGate()
    link, _ = a_link(gate)
    for piece in range(4):
        say(link, Mismatch(1, piece), Mismatch(1, piece), Close(1), Open(1, "lab", bytes(32), "ticket"))
    assert gate.mismatches == [("ann", 0)]


async def test_a_piece_that_is_not_here_cannot_be_wrong() -> None:
    gate = FakeGate({"lab": FakeFile([1, 0, 1, 1])})
    link, _ = a_link(gate)
    say(link, Mismatch(1, 1))
    assert gate.mismatches == []


async def test_other_channels_go_on_after_a_withdrawal() -> None:
    link, transport = a_link(FakeGate(), groups="lab team")
    say(link, Request(1, 1, 0, 0, (0,)), Request(2, 2, 0, 0, (3,)))
    await turns(2)
    transport.take()
    link.put_out("lab", 2, "no more")
    await turns()
    assert pieces_in([*transport.take()]) == [3]


async def test_a_file_that_cannot_be_read_is_told_to_the_gate_and_the_request_rejected() -> None:
    gate = FakeGate()
    link, transport = a_link(gate)
    gate.files["lab"].is_broken = True
    say(link, Request(5, 1, 0, 0, (0,)))
    await turns()
    assert transport.take() == [Reject(5, RejectReason.UNREADABLE)]
    assert gate.broken == [gate.files["lab"]]


async def test_a_refused_channel_says_why_and_serves_nothing() -> None:
    link, transport = a_link(FakeGate())
    say(link, Open(2, "strangers", bytes(32), "ticket"), Request(5, 2, 0, 0, (0,)))
    await turns()
    assert transport.take() == [Refused(2, "no_such_file", "not shared here"), Reject(5, RejectReason.NO_SUCH_CHANNEL)]


async def test_links_take_turns_by_the_piece() -> None:
    slots: UploadSlots[PieceSender] = UploadSlots(1)
    gate = FakeGate()
    (first, to_first), (second, to_second) = a_link(gate, slots), a_link(gate, slots)
    say(first, Request(1, 1, 0, 0, (0,)), Request(2, 1, 0, 0, (1,)))
    say(second, Request(1, 1, 0, 0, (2,)))
    await turns(5)
    assert pieces_in([*to_first.take()]) == [0]
    await turns(5)
    assert pieces_in([*to_second.take()]) == [2]
    await turns()
    assert pieces_in([*to_first.take()]) == [1]


async def test_a_link_that_is_gone_gives_its_slot_to_the_next() -> None:
    slots: UploadSlots[PieceSender] = UploadSlots(1)
    gate = FakeGate()
    (first, _), (second, to_second) = a_link(gate, slots), a_link(gate, slots)
    say(first, Request(1, 1, 0, 0, (0,)))
    say(second, Request(1, 1, 0, 0, (2,)))
    first.connection_lost(None)
    await turns()
    assert pieces_in([*to_second.take()]) == [2]


async def test_a_slot_is_kept_until_the_piece_has_left() -> None:
    slots: UploadSlots[PieceSender] = UploadSlots(1)
    gate = FakeGate()
    (first, at_first), (second, at_second) = a_link(gate, slots), a_link(gate, slots)
    at_first.takes_no_more = first.pause_writing
    say(first, Request(1, 1, 0, SHORTEST_BYTES, (0,)))
    say(second, Request(1, 1, 0, 0, (1,)))
    await turns()
    assert pieces_in([*at_first.take()]) == [0]
    assert pieces_in([*at_second.take()]) == []
    first.resume_writing()
    await turns()
    assert pieces_in([*at_second.take()]) == [1]


async def test_a_piece_that_is_cancelled_counts_as_never_sent_also_when_its_last_slice_is_gone() -> None:
    gate = FakeGate()
    link, transport = a_link(gate)
    sent = gate.files["lab"].sent.counts
    say(link, Request(1, 1, 0, SHORTEST_BYTES, (2,)))
    await turns()
    assert sent.tolist() == [0, 0, 1, 0]
    say(link, Cancel(1), Cancel(1))
    assert sent.tolist() == [0, 0, 0, 0]
    say(link, Request(2, 1, 0, 0, (3,)))
    await turns(2)
    say(link, Cancel(2))
    assert sent.tolist() == [0, 0, 0, 0]
    assert isinstance(transport.take()[-1], Reject)


@pytest.mark.parametrize("length", [0, SHORTEST_BYTES])
async def test_a_piece_that_a_lost_link_was_sending_counts_as_never_sent(length: int) -> None:
    """Of one slice, all of it waits in the transport; of more, the rest is still to come."""
    gate = FakeGate()
    link, transport = a_link(gate)
    transport.takes_no_more = link.pause_writing
    say(link, Request(1, 1, 0, length, (2,)))
    await turns()
    assert gate.files["lab"].sent.counts.tolist() == [0, 0, 1, 0]
    link.connection_lost(None)
    assert gate.files["lab"].sent.counts.tolist() == [0, 0, 0, 0]


async def test_what_a_link_has_sent_stays_counted_when_it_is_lost() -> None:
    gate = FakeGate()
    link, transport = a_link(gate)
    say(link, Request(1, 1, 0, 0, (2,)))
    await turns()
    assert pieces_in([*transport.take()]) == [2]
    link.connection_lost(None)
    assert gate.files["lab"].sent.counts.tolist() == [0, 0, 1, 0]


async def test_a_paused_link_sends_nothing_until_it_may() -> None:
    link, transport = a_link(FakeGate())
    link.pause_writing()
    say(link, Request(5, 1, 0, 0, (0,)))
    await turns()
    assert transport.take() == []
    link.resume_writing()
    await turns()
    assert pieces_in([*transport.take()]) == [0]


async def test_a_link_that_does_not_read_gives_its_slot_away_and_goes_on_when_it_does() -> None:
    slots: UploadSlots[PieceSender] = UploadSlots(1)
    gate = FakeGate()
    (first, to_first), (second, to_second) = a_link(gate, slots), a_link(gate, slots)
    say(first, Request(1, 1, 0, 0, (0,)))
    say(second, Request(1, 1, 0, 0, (2,)), Request(2, 1, 0, 0, (3,)))
    first.pause_writing()
    say(first, Request(2, 1, 0, 0, (1,)))
    await turns()
    assert to_second.take() == []
    await asyncio.sleep(2 * Settings().slot_patience_s)
    await turns()
    assert pieces_in([*to_second.take()]) == [2, 3]
    assert pieces_in([*to_first.take()]) == []
    first.resume_writing()
    await turns()
    assert pieces_in([*to_first.take()]) == [0, 1]


async def test_a_link_that_waits_for_its_slot_again_sends_nothing_however_well_it_reads() -> None:
    slots: UploadSlots[PieceSender] = UploadSlots(1)
    gate = FakeGate()
    (first, to_first), (other, _) = a_link(gate, slots), a_link(gate, slots)
    say(first, Request(1, 1, 0, 0, (0,)))
    first.pause_writing()
    await asyncio.sleep(2 * Settings().slot_patience_s)
    assert slots.want(other._sender, "zoe", time.monotonic()) == [other._sender]
    for _ in range(2):
        first.resume_writing()
        first.pause_writing()
    first.resume_writing()
    await turns()
    assert to_first.take() == []
    assert slots.release(other._sender, time.monotonic()) == [first._sender]


async def test_a_long_queue_of_tiny_requests_is_worked_off_without_deep_recursion() -> None:
    link, transport = a_link(FakeGate())
    link.pause_writing()
    for request_id in range(Settings().requests_queued_per_link):
        say(link, Request(request_id, 1, 0, 1, (0,)))
    link.resume_writing()
    await turns(2 * Settings().requests_queued_per_link)
    said = transport.take()
    assert [each.request_id for each in said if isinstance(each, PieceHeader)] == list(range(512))


@pytest.mark.parametrize("message", [Request(5, 1, 0, 0, (9,)), Bye("no"), Open(1, "lab", bytes(32), "")])
async def test_whoever_breaks_the_protocol_is_told_and_hung_up_on(message: Request | Bye | Open) -> None:
    link, transport = a_link(FakeGate())
    say(link, message)
    assert transport.is_aborted
    assert isinstance(transport.take()[-1], Bye)


async def test_who_has_too_many_links_is_hung_up_on_before_it_can_ask() -> None:
    _, transport = a_link(FakeGate(has_room=False), groups="")
    assert transport.is_aborted
    assert [type(message) for message in transport.take()] == [Bye]


async def test_a_silent_link_without_a_channel_is_idle_and_one_that_never_greets_is_so_sooner() -> None:
    link, _ = a_link(FakeGate(), groups="")
    waiting, _ = a_link(FakeGate())
    identity = Identity(BOB.identity.certificate_pem, BOB.identity.key_pem, BOB.identity.authority_pem)
    gate = FakeGate()
    mute = ServeLink(gate, gate, UploadSlots(8), Settings(), identity, is_open=False)
    mute.connection_made(FakeTransport(ANN))
    soon_s, later_s = time.monotonic() + 11, time.monotonic() + 151
    assert [each.is_idle(soon_s, 10, 150) for each in (link, waiting, mute)] == [False, False, True]
    assert [each.is_idle(later_s, 10, 150) for each in (link, waiting, mute)] == [True, False, True]

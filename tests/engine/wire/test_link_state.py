"""Who may say what when, and that every index, offset and length from the other side is inside what was agreed on."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import RemoteProtocolError
from engine.wire.link_state import FetcherState, Phase, ServerState, Slice
from engine.wire.messages import (
    NONCE_BYTES,
    PROTOCOL_VERSION,
    REJECT_AFTER_MS_MAX,
    Bye,
    Cancel,
    Close,
    Closed,
    Gossip,
    Have,
    Hello,
    Message,
    Mismatch,
    Neighbour,
    Open,
    Opened,
    PieceHeader,
    Prove,
    Refused,
    Reject,
    RejectReason,
    Renew,
    Request,
    Role,
)
from tests.engine.wire.samples import EXAMPLES
from tests.testkit.builders import geometry_of

PIECE = 256 << 10
GEOMETRY = geometry_of(3, last_bytes=1000)
SLICE = 64 << 10
NONCE = bytes(NONCE_BYTES)


def opened_fetcher() -> FetcherState:
    """Channel 1 is open, with three pieces, the last of 1000 bytes."""
    state = FetcherState()
    state.received(Hello(PROTOCOL_VERSION, Role.SERVER))
    state.opening(1, GEOMETRY)
    state.received(Opened(1, b"\xe0"))
    return state


def opened_server(requests_max: int = 4, channels_max: int = 3) -> ServerState:
    state = ServerState(requests_max, channels_max)
    state.received(Hello(PROTOCOL_VERSION, Role.FETCHER))
    state.received(Open(1, "lab", bytes(32), ""))
    state.opened(1, GEOMETRY)
    return state


def asked(state: FetcherState, request_id: int, *candidates: int, begin: int = 0, length: int = 0) -> None:
    state.asking(Request(request_id, 1, begin, length, candidates))


def slice_of(state: FetcherState, request_id: int, piece: int, begin: int, length: int) -> Slice:
    arriving = state.received(PieceHeader(request_id, piece, begin, length))
    assert arriving is not None
    return arriving


def gossip(channel: int, *hosts: str) -> Gossip:
    return Gossip(channel, tuple(Neighbour("bob", host, 7001, bytes(32)) for host in hosts))


def refuses(state: FetcherState | ServerState, message: Message) -> str:
    with pytest.raises(RemoteProtocolError) as refusal:
        state.received(message)
    return str(refusal.value)


# ---------------------------------------------------------------- who may say what when

FROM_FETCHER: set[type[Any]] = {Open, Renew, Request, Cancel, Mismatch, Close}
FROM_SERVER: set[type[Any]] = {Opened, Refused, Closed, Have, PieceHeader, Reject, Gossip, Bye}
ALLOWED: dict[tuple[Role, Phase], set[type[Any]]] = {
    (Role.FETCHER, Phase.GREETING): {Hello},
    (Role.FETCHER, Phase.PROVING): {Prove},
    (Role.FETCHER, Phase.TALKING): FROM_FETCHER,
    (Role.FETCHER, Phase.ENDED): set(),
    (Role.SERVER, Phase.GREETING): {Hello, Bye},
    (Role.SERVER, Phase.PROVING): {Prove, Bye},
    (Role.SERVER, Phase.TALKING): FROM_SERVER,
    (Role.SERVER, Phase.ENDED): set(),
}
"""Written down a second time on purpose: what the protocol says, not what the code says."""


def judge_of(speaker: Role, phase: Phase) -> FetcherState | ServerState:
    """The state that judges this speaker, brought to this phase by messages, ready for each of the examples."""
    needs_proof = phase is Phase.PROVING
    fetcher, server = FetcherState(needs_proof=needs_proof), ServerState(4, 4, needs_proof=needs_proof)
    judge: FetcherState | ServerState = server if speaker is Role.FETCHER else fetcher
    if phase is not Phase.GREETING:
        judge.received(Hello(PROTOCOL_VERSION, speaker, NONCE if needs_proof else b""))
    if phase is Phase.TALKING:
        fetcher.opening(1, GEOMETRY)
        asked(fetcher, 5, 0, 1)
    if phase is Phase.ENDED:
        if speaker is Role.FETCHER:
            judge.phase = Phase.ENDED  # a fetcher has no words to end a link; it closes it
        else:
            judge.received(Bye("logged out"))
    assert judge.phase is phase
    return judge


@pytest.mark.parametrize("kind", list(EXAMPLES), ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("speaker", list(Role))
def test_each_side_may_say_this_in_that_phase_and_nothing_else(speaker: Role, phase: Phase, kind: type[Any]) -> None:
    message = Hello(PROTOCOL_VERSION, speaker) if kind is Hello else EXAMPLES[kind]
    judge = judge_of(speaker, phase)
    if kind in ALLOWED[speaker, phase]:
        judge.received(message)
    else:
        assert f"{kind.__name__} while {phase.name.lower()}" in refuses(judge, message)


@pytest.mark.parametrize("needs_proof", [False, True])
@pytest.mark.parametrize("speaker", list(Role))
def test_a_greeting_leads_to_talk_through_a_proof_where_one_is_needed(speaker: Role, needs_proof: bool) -> None:
    judge: FetcherState | ServerState
    judge = FetcherState(needs_proof=needs_proof) if speaker is Role.SERVER else ServerState(4, 4, needs_proof)
    judge.received(Hello(PROTOCOL_VERSION, speaker, NONCE if needs_proof else b""))
    if needs_proof:
        assert judge.phase is Phase.PROVING
        judge.received(Prove(b"", bytes(64)))
    assert judge.phase is Phase.TALKING


@pytest.mark.parametrize("state_of", [FetcherState, lambda: ServerState(4, 4)])
def test_a_greeting_of_another_version_role_or_kind_of_link_is_refused(
    state_of: Callable[[], FetcherState | ServerState],
) -> None:
    right = state_of().role
    wrong = Role.FETCHER if right is Role.SERVER else Role.SERVER
    assert "version" in refuses(state_of(), Hello(PROTOCOL_VERSION + 1, right))
    assert "role" in refuses(state_of(), Hello(PROTOCOL_VERSION, wrong))
    assert "nonce" in refuses(state_of(), Hello(PROTOCOL_VERSION, right, NONCE))
    needing = state_of()
    needing.needs_proof = True
    for length in (0, NONCE_BYTES - 1):
        assert "nonce" in refuses(needing, Hello(PROTOCOL_VERSION, right, bytes(length)))


# ---------------------------------------------------------------- the fetcher judges: channels


def test_news_of_a_channel_we_never_opened_is_refused() -> None:
    state = opened_fetcher()
    ending = (Refused(2, "x", "x"), Closed(2, "closed", "x"))
    for message in (Opened(2, b"\xe0"), *ending, Have(2, (0,)), gossip(2, "192.0.2.7")):
        assert "never opened" in refuses(state, message)


@pytest.mark.parametrize("length", [0, 2, 100])
def test_a_bitfield_of_the_wrong_length_is_refused(length: int) -> None:
    state = FetcherState()
    state.received(Hello(PROTOCOL_VERSION, Role.SERVER))
    state.opening(1, GEOMETRY)
    assert "bitfield" in refuses(state, Opened(1, bytes(length)))
    assert not state.has_channel(1)


def test_opened_twice_is_refused() -> None:
    assert "twice" in refuses(opened_fetcher(), Opened(1, b"\xe0"))


def test_a_have_out_of_range_is_refused_wherever_in_the_list_it_stands() -> None:
    opened_fetcher().received(Have(1, (0, 2, 1)))
    for pieces in [(3,), (0, 3, 1), (2**32 - 1, 0)]:
        assert "HAVE" in refuses(opened_fetcher(), Have(1, pieces))


@pytest.mark.parametrize("host", ["example.org", "192.0.2", "192.0.2.7:80", "fe80::1%eth0/64", " 192.0.2.7"])
def test_gossip_of_anything_but_a_numeric_address_is_refused(host: str) -> None:
    opened_fetcher().received(gossip(1, "192.0.2.7", "2001:db8::7"))
    assert "numeric address" in refuses(opened_fetcher(), gossip(1, "192.0.2.7", host))


@pytest.mark.parametrize("message", [Refused(1, "x", "x"), Closed(1, "closed", "x")])
def test_a_channel_that_was_closed_by_the_server_may_be_opened_again(message: Message) -> None:
    state = opened_fetcher()
    state.received(message)
    assert not state.has_channel(1)
    state.opening(1, GEOMETRY)
    state.received(Opened(1, b"\xe0"))
    assert state.has_channel(1)


# ---------------------------------------------------------------- the fetcher judges: pieces


def test_slices_in_order_make_a_piece() -> None:
    state = opened_fetcher()
    asked(state, 5, 0, 1)
    begins = range(0, PIECE, SLICE)
    slices = [slice_of(state, 5, 1, begin, SLICE) for begin in begins]
    assert [(each.channel, each.piece) for each in slices] == [(1, 1)] * 4
    assert [(each.begin, each.length) for each in slices] == [(begin, SLICE) for begin in begins]
    assert [each.is_first for each in slices] == [True, False, False, False]
    assert [each.is_last for each in slices] == [False, False, False, True]
    assert not any(each.is_cancelled for each in slices)
    assert not state.owes_answers


def test_the_last_piece_ends_where_the_file_does() -> None:
    state = opened_fetcher()
    asked(state, 5, 2)
    assert slice_of(state, 5, 2, 0, 1000).is_last
    asked(state, 6, 2)
    assert "out of its place" in refuses(state, PieceHeader(6, 2, 0, 1001))


def test_a_part_of_a_piece_ends_where_it_was_asked_to() -> None:
    state = opened_fetcher()
    asked(state, 5, 0, begin=100, length=50)
    assert not slice_of(state, 5, 0, 100, 20).is_last
    assert slice_of(state, 5, 0, 120, 30).is_last
    asked(state, 6, 0, begin=100, length=50)
    assert "out of its place" in refuses(state, PieceHeader(6, 0, 100, 51))


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (PieceHeader(6, 0, 0, SLICE), "not under way"),
        (PieceHeader(5, 2, 0, 1000), "not asked for"),
        (PieceHeader(5, 3, 0, 1000), "not asked for"),
        (PieceHeader(5, 0, 1, SLICE), "out of its place"),
        (PieceHeader(5, 0, 0, PIECE + 1), "out of its place"),
    ],
)
def test_a_first_slice_must_be_asked_for_and_begin_at_the_begin(header: PieceHeader, word: str) -> None:
    state = opened_fetcher()
    asked(state, 5, 0, 1)
    assert word in refuses(state, header)


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (PieceHeader(5, 0, 0, SLICE), "out of its place"),  # again
        (PieceHeader(5, 0, 2 * SLICE, SLICE), "out of its place"),  # a gap
        (PieceHeader(5, 0, SLICE - 1, SLICE), "out of its place"),  # an overlap
        (PieceHeader(5, 0, SLICE, PIECE - SLICE + 1), "out of its place"),  # too long
        (PieceHeader(5, 1, SLICE, SLICE), "mixed"),  # another piece of the same request
        (PieceHeader(6, 1, 0, SLICE), "before the one before it was whole"),  # another request in between
    ],
)
def test_a_further_slice_must_follow_the_one_before(header: PieceHeader, word: str) -> None:
    state = opened_fetcher()
    asked(state, 5, 0, 1)
    asked(state, 6, 0, 1)
    slice_of(state, 5, 0, 0, SLICE)
    assert word in refuses(state, header)


def test_an_answered_request_gets_no_second_answer() -> None:
    for answer in (PieceHeader(5, 2, 0, 1000), Reject(5, 2)):
        state = opened_fetcher()
        asked(state, 5, 2)
        state.received(answer)
        assert not state.owes_answers
        for again in (PieceHeader(5, 2, 0, 1000), Reject(5, 2)):
            assert "not under way" in refuses(state, again)


def test_a_server_may_not_put_off_for_long() -> None:
    state = opened_fetcher()
    asked(state, 5, 2)
    assert "puts us off" in refuses(state, Reject(5, RejectReason.LATER, REJECT_AFTER_MS_MAX + 1))


def test_after_a_reject_in_the_middle_of_a_piece_another_may_begin() -> None:
    state = opened_fetcher()
    asked(state, 5, 0)
    asked(state, 6, 1)
    slice_of(state, 5, 0, 0, SLICE)
    state.received(Reject(5, 4))
    assert slice_of(state, 6, 1, 0, SLICE).is_first
    assert "not under way" in refuses(state, PieceHeader(5, 0, SLICE, SLICE))


def test_rejecting_a_waiting_request_leaves_the_arriving_piece_alone() -> None:
    state = opened_fetcher()
    asked(state, 5, 0)
    asked(state, 6, 1)
    slice_of(state, 5, 0, 0, SLICE)
    state.received(Reject(6, 2))
    assert not slice_of(state, 5, 0, SLICE, SLICE).is_first


# ---------------------------------------------------------------- the fetcher judges: what was taken back


def test_slices_of_a_cancelled_request_are_let_pass_and_flagged() -> None:
    state = opened_fetcher()
    asked(state, 5, 0)
    assert not slice_of(state, 5, 0, 0, SLICE).is_cancelled
    assert state.cancelling(5)
    assert slice_of(state, 5, 0, SLICE, SLICE).is_cancelled
    assert "out of its place" in refuses(state, PieceHeader(5, 0, 0, SLICE))


def test_a_cancel_is_sent_once_and_not_for_what_has_ended() -> None:
    state = opened_fetcher()
    asked(state, 5, 0)
    assert state.cancelling(5)
    assert not state.cancelling(5)
    state.received(Reject(5, 4))
    assert not state.cancelling(5)
    assert not state.cancelling(99)


def test_closing_a_channel_cancels_its_requests_and_no_others() -> None:
    state = opened_fetcher()
    state.opening(2, GEOMETRY)
    state.received(Opened(2, b"\xe0"))
    asked(state, 5, 2)
    state.asking(Request(6, 2, 0, 0, (2,)))
    state.closing(1)
    assert not state.has_channel(1)
    assert slice_of(state, 5, 2, 0, 1000).is_cancelled
    assert not slice_of(state, 6, 2, 0, 1000).is_cancelled


@pytest.mark.parametrize("message", [Refused(1, "x", "x"), Closed(1, "closed", "x")])
def test_what_comes_for_a_channel_after_the_server_closed_it_is_not_wanted(message: Message) -> None:
    """Its pieces were given to others the moment the close was heard of: a byte more would overwrite theirs (I2)."""
    state = opened_fetcher()
    asked(state, 5, 0)
    slice_of(state, 5, 0, 0, SLICE)
    state.received(message)
    assert slice_of(state, 5, 0, SLICE, SLICE).is_cancelled


def test_what_was_asked_of_a_closed_channel_is_not_wanted() -> None:
    state = opened_fetcher()
    state.received(Closed(1, "closed", "x"))
    asked(state, 5, 2)
    state.opening(1, GEOMETRY)
    state.received(Opened(1, b"\xe0"))
    asked(state, 6, 2)
    assert slice_of(state, 5, 2, 0, 1000).is_cancelled
    assert not slice_of(state, 6, 2, 0, 1000).is_cancelled


# ---------------------------------------------------------------- the server judges


def test_open_twice_is_refused_also_before_the_answer() -> None:
    state = opened_server()
    assert "twice" in refuses(state, Open(1, "lab", bytes(32), ""))
    state.received(Open(2, "lab", bytes(32), ""))
    assert not state.has_channel(2)
    assert "twice" in refuses(state, Open(2, "lab", bytes(32), ""))


def test_channels_are_limited_and_closed_ones_make_room() -> None:
    state = opened_server(channels_max=3)
    for channel in (2, 3):
        state.received(Open(channel, "lab", bytes(32), ""))
    assert "channels" in refuses(state, Open(4, "lab", bytes(32), ""))
    state.received(Close(2))
    state.received(Open(4, "lab", bytes(32), ""))
    state.closed(3)
    state.received(Open(5, "lab", bytes(32), ""))
    assert "channels" in refuses(state, Open(6, "lab", bytes(32), ""))


def test_requests_are_limited_and_answers_make_room() -> None:
    state = opened_server(requests_max=4)
    for request_id in range(4):
        state.received(Request(request_id, 1, 0, 0, (0,)))
    assert "requests" in refuses(state, Request(4, 1, 0, 0, (0,)))
    state.answered(2)
    assert not state.is_queued(2)
    state.received(Request(4, 1, 0, 0, (0,)))
    assert state.is_queued(4)


def test_requests_on_closed_channels_count_towards_the_limit_too() -> None:
    state = opened_server(requests_max=4)
    for request_id in range(4):
        state.received(Request(request_id, 9, 0, 0, (0,)))
    assert "requests" in refuses(state, Request(4, 9, 0, 0, (0,)))


def test_a_request_under_way_cannot_be_repeated() -> None:
    state = opened_server()
    state.received(Request(5, 1, 0, 0, (0,)))
    assert "twice" in refuses(state, Request(5, 1, 0, 0, (1,)))
    state.answered(5)
    state.received(Request(5, 1, 0, 0, (1,)))


@pytest.mark.parametrize("candidates", [(3,), (0, 3), (2**32 - 1,)])
def test_a_request_for_a_piece_the_file_does_not_have_is_refused(candidates: tuple[int, ...]) -> None:
    assert "a request for piece" in refuses(opened_server(), Request(5, 1, 0, 0, candidates))


@pytest.mark.parametrize(
    ("begin", "length", "candidates", "is_inside"),
    [
        (0, 0, (0, 1, 2), True),
        (0, PIECE, (0, 1), True),
        (PIECE - 1, 1, (0,), True),
        (PIECE - 1, 0, (0,), True),
        (0, 1000, (2,), True),
        (999, 0, (2,), True),
        (0, PIECE + 1, (0,), False),
        (1, PIECE, (0,), False),
        (PIECE, 0, (0,), False),
        (PIECE, 1, (0,), False),
        (0, 1001, (2,), False),
        (0, 1001, (0, 2), False),  # inside one candidate, beyond the other
        (1000, 0, (2,), False),
        (2**32 - 1, 2**32 - 1, (0,), False),
    ],
)
def test_a_request_must_lie_inside_each_of_its_candidates(
    begin: int, length: int, candidates: tuple[int, ...], is_inside: bool
) -> None:
    message = Request(5, 1, begin, length, candidates)
    if is_inside:
        opened_server().received(message)
    else:
        assert "bytes up to" in refuses(opened_server(), message)


def test_what_crosses_a_close_is_no_error() -> None:
    state = opened_server()
    state.closed(1)
    assert not state.has_channel(1)
    for request_id, piece in itertools.product((1, 2), (10**6,)):
        state.received(Request(request_id, 1, 0, 0, (piece,)))
    state.received(Cancel(1))
    state.received(Cancel(77))
    state.received(Close(1))
    state.received(Close(1))


def test_a_channel_number_may_be_used_again_after_a_close() -> None:
    state = opened_server()
    state.received(Close(1))
    assert not state.has_channel(1)
    state.received(Open(1, "lab", bytes(32), ""))
    state.opened(1, GEOMETRY)
    assert state.has_channel(1)


def test_a_server_owes_a_word_until_it_greeted_and_answered_what_it_was_asked() -> None:
    state = FetcherState()
    assert state.owes_word
    state.received(Hello(PROTOCOL_VERSION, Role.SERVER))
    assert not state.owes_word
    state.opening(1, GEOMETRY)
    state.opening(2, GEOMETRY)
    state.opening(3, GEOMETRY)
    state.received(Opened(1, b"\xe0"))
    state.received(Refused(2, "not_shared", ""))
    assert state.owes_word
    state.closing(3)
    assert not state.owes_word
    state.asking(Request(1, 1, 0, 0, (0,)))
    assert state.owes_word

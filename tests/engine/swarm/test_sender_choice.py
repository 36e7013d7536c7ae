"""Which of the pieces it was asked for a server sends, and when it sends none yet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.sender_choice import CLOCKS, IN_NETWORK_BYTES, PUT_OFF_S_MAX, SENT_FORGOTTEN_S, SentPieces
from tests.testkit.builders import bounded

PIECES = 12
SLOTS = 2
HERE = [1] * PIECES
requests = st.lists(st.lists(st.integers(0, PIECES - 1), min_size=1, max_size=8, unique=True), max_size=60)


def sent_of(counts: list[int], piece_bytes: int = 1 << 60, now_s: float = 100.0) -> SentPieces:
    """Pieces so long that nothing to speak of is in the network."""
    sent = SentPieces(np.zeros(len(counts), np.uint32), np.zeros(CLOCKS), SLOTS, piece_bytes)
    sent.goes_on(now_s)
    sent.counts[:] = counts
    return sent


def test_the_first_named_of_those_sent_least_is_sent() -> None:
    assert sent_of([0, 2, 2, 5]).least((3, 1, 2), [1, 1, 1, 1]) == 1


def test_what_is_not_here_is_not_sent_however_seldom_it_was() -> None:
    assert sent_of([0, 9]).least((0, 1), [0, 1]) == 1
    assert sent_of([0, 9]).least((0,), [0, 1]) is None


@given(requests)
@bounded(100)
def test_no_piece_leaves_twice_while_one_asked_for_in_its_place_never_left(asked: list[list[int]]) -> None:
    sent = sent_of([0] * PIECES)
    for candidates in asked:
        piece = sent.least(candidates, HERE)
        assert piece is not None
        assert not sent.counts[piece] or all(sent.counts[other] for other in candidates)
        sent.count(piece, 100.0)


@given(st.lists(st.permutations(range(PIECES)), min_size=1, max_size=5))
@bounded(50)
def test_who_is_asked_for_everything_sends_every_piece_once_before_any_twice(orders: list[list[int]]) -> None:
    sent = sent_of([0] * PIECES)
    for order in orders:
        for _ in range(PIECES):
            piece = sent.least(order, HERE)
            assert piece is not None
            sent.count(piece, 100.0)
        assert len(set(sent.counts.tolist())) == 1


def test_once_all_have_left_repeats_wait_as_long_as_the_slots_and_the_network_hold_the_last() -> None:
    for piece_bytes, away in [(1 << 60, SLOTS), (IN_NETWORK_BYTES // 4, SLOTS + 4)]:
        sent = sent_of([1, 1, 1, 0], piece_bytes)
        assert sent.wait_s(0, 100.4) == 0.0
        sent.count(3, 100.4)  # 0.1 s a piece
        assert sent.wait_s(0, 100.4) == pytest.approx(away * 0.1)
        assert sent.wait_s(0, 100.5) == pytest.approx(away * 0.1 - 0.1)
        assert sent.wait_s(0, 100.41 + away * 0.1) == 0.0


def test_what_was_sent_in_vain_may_leave_at_once_and_makes_nobody_wait_anew() -> None:
    sent = sent_of([1, 1, 1, 0])
    sent.count(3, 100.4)
    sent.count_back(3)
    assert sent.wait_s(3, 100.4) == 0.0
    sent.count(3, 100.55)
    assert sent.wait_s(0, 100.55) == pytest.approx(0.05)
    sent.count_back(3)
    sent.count_back(3)
    assert sent.counts.tolist() == [1, 1, 1, 0]


def test_nobody_waits_after_a_pause_in_which_what_was_sent_is_forgotten() -> None:
    sent = sent_of([1, 1, 1, 0])
    sent.count(3, 100.4)
    sent.goes_on(100.4 + SENT_FORGOTTEN_S + 0.1)
    assert sent.counts.tolist() == [0, 0, 0, 0]
    assert sent.wait_s(0, 100.4) == 0.0


@given(
    st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(0, PIECES - 1), st.booleans()), max_size=80),
    st.sampled_from([1 << 18, 1 << 24]),
)
@bounded(100)
def test_nobody_ever_waits_longer_than_the_bound_nor_for_what_never_left(
    events: list[tuple[float, int, bool]], piece_bytes: int
) -> None:
    sent, now_s = sent_of([0] * PIECES, piece_bytes), 100.0
    for pause_s, piece, is_sent in events:
        now_s += pause_s
        sent.goes_on(now_s)
        wait_s = sent.wait_s(piece, now_s)
        assert 0.0 <= wait_s <= PUT_OFF_S_MAX
        assert sent.counts[piece] or not wait_s
        if is_sent:
            sent.count(piece, now_s)
        else:
            sent.count_back(piece)

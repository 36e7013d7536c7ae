"""The pace of one link: what it measures, and how much that lets it be asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.window import QUEUE_S_MAX, Window
from tests.testkit.builders import bounded

PIECE = 1 << 20


def test_a_steady_link_is_measured_at_its_rate_whatever_the_queue() -> None:
    window = Window()
    assert not window.is_measured
    window.asked(10.0, is_idle=True)
    window.asked(10.0, is_idle=False)
    for delivery in range(1, 30):
        window.delivered(PIECE, 10.0 + delivery * 0.25)
        window.asked(10.0 + delivery * 0.25 + 0.1, is_idle=False)
    assert window.rate_bytes_per_s == pytest.approx(4 * PIECE)


def test_idle_time_before_a_request_does_not_count() -> None:
    window = Window()
    window.asked(0.0, is_idle=True)
    window.delivered(PIECE, 1.0)
    window.asked(100.0, is_idle=True)
    window.delivered(PIECE, 101.0)
    assert window.rate_bytes_per_s == pytest.approx(PIECE)


def test_a_change_of_pace_is_followed_smoothly() -> None:
    window = Window()
    window.asked(0.0, is_idle=True)
    window.delivered(PIECE, 1.0)
    window.delivered(PIECE, 1.5)
    assert PIECE < window.rate_bytes_per_s < 2 * PIECE
    for delivery in range(30):
        window.delivered(PIECE, 1.5 + 0.5 * (delivery + 1))
    assert window.rate_bytes_per_s == pytest.approx(2 * PIECE, rel=0.01)


def test_two_pieces_that_come_together_after_one_wait_are_no_sign_of_speed() -> None:
    """What a socket kept while the process was busy is read at once."""
    window, now_s = Window(), 0.0
    window.asked(0.0, is_idle=True)
    for _ in range(30):
        now_s += 0.5
        window.delivered(PIECE, now_s)
        window.delivered(PIECE, now_s + 1e-4)
        assert window.rate_bytes_per_s < 4 * PIECE * 1.5
    assert window.rate_bytes_per_s == pytest.approx(4 * PIECE, rel=0.25)


def test_a_delivery_in_no_time_is_no_division_by_zero() -> None:
    window = Window()
    window.asked(5.0, is_idle=True)
    window.delivered(PIECE, 5.0)
    assert 0 < window.rate_bytes_per_s < float("inf")


def test_the_window_is_twice_rate_times_round_trip() -> None:
    window = Window()
    assert window.needs_bytes() == 0.0
    window.asked(0.0, is_idle=True)
    window.answered_from_idle(0.04)
    window.delivered(PIECE, 1.0)
    assert window.needs_bytes() == pytest.approx(2 * PIECE * 0.04)


@given(rate=st.floats(1, 1e10), round_trip_s=st.floats(0.0001, 100))
@bounded(100)
def test_never_more_is_queued_than_the_cap(rate: float, round_trip_s: float) -> None:
    window = Window()
    window.rate_bytes_per_s, window.round_trip_s = rate, round_trip_s
    assert window.needs_bytes() <= rate * (QUEUE_S_MAX + 2 * round_trip_s) * (1 + 1e-9)
    assert window.needs_bytes() >= rate * round_trip_s * (1 - 1e-9)  # or the path could not be kept full


def test_the_round_trip_is_the_shortest_wait_and_forgets_it_slowly() -> None:
    """A busy server makes us wait for a slot: that says nothing about the path, and must not open the window."""
    window = Window()
    window.answered_from_idle(0.1)
    assert window.round_trip_s == pytest.approx(0.1)
    window.answered_from_idle(0.3)
    assert 0.1 < window.round_trip_s < 0.11
    window.answered_from_idle(0.05)
    assert window.round_trip_s == pytest.approx(0.05)


def test_an_unmeasured_link_is_taken_to_be_like_the_others() -> None:
    window = Window()
    assert window.seconds_for(1000, 0.0) == 0.0
    assert window.seconds_for(1000, 500.0) == 2.0
    window.rate_bytes_per_s = 100.0
    assert window.seconds_for(1000, 500.0) == 10.0

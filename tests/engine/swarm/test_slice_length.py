"""Long slices for fast links, short ones for slow links."""

from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.slice_length import LONGEST_BYTES, SHORTEST_BYTES, SLICE_S, SliceLength
from engine.wire.messages import SLICE_BYTES_MAX


def after(rate_bytes_per_s: float, slices: int) -> int:
    length = SliceLength()
    for _ in range(slices):
        length.sent(length.next_bytes, length.next_bytes / rate_bytes_per_s)
    return length.next_bytes


def test_no_slice_is_longer_than_a_fetcher_takes() -> None:
    assert LONGEST_BYTES <= SLICE_BYTES_MAX


def test_a_link_begins_with_the_shortest() -> None:
    assert SliceLength().next_bytes == SHORTEST_BYTES


def test_a_fast_link_comes_to_the_longest() -> None:
    assert after(1e9, 20) == LONGEST_BYTES


def test_a_slow_link_keeps_the_shortest() -> None:
    assert after(12.5e6, 20) == SHORTEST_BYTES


def test_a_slice_between_the_two_lasts_as_long_as_it_may() -> None:
    assert abs(after(5e7, 60) - 5e7 * SLICE_S) < 0.05 * 5e7 * SLICE_S


def test_a_link_is_slow_until_it_has_shown_its_pace_and_whenever_a_slice_takes_long() -> None:
    length = SliceLength()
    assert length.is_slow
    for rate_bytes_per_s, is_slow in ((1e8, False), (5e6, True), (5e7, False)):
        for _ in range(40):
            length.sent(SHORTEST_BYTES, SHORTEST_BYTES / rate_bytes_per_s)
        assert length.is_slow is is_slow


def test_one_burst_does_not_make_a_slow_link_a_fast_one() -> None:
    length = SliceLength()
    for _ in range(10):
        length.sent(SHORTEST_BYTES, SHORTEST_BYTES / 12.5e6)
    length.sent(SHORTEST_BYTES, 0.0)
    assert length.next_bytes == SHORTEST_BYTES


@given(st.lists(st.tuples(st.integers(1, LONGEST_BYTES), st.floats(0, 1e6)), max_size=3000))
def test_whatever_is_measured_a_slice_stays_within_its_bounds(measured: list[tuple[int, float]]) -> None:
    length = SliceLength()
    for count, took_s in measured:
        length.sent(count, took_s)
        assert SHORTEST_BYTES <= length.next_bytes <= LONGEST_BYTES

from hypothesis import given
from hypothesis import strategies as st

from tracker.rules.token_buckets import TokenBuckets
from tracker.settings import REQUEST_WAIT_MAX_S, REQUESTS_AT_ONCE_PER_ACCOUNT, REQUESTS_PER_S_PER_ACCOUNT


def test_no_more_gets_through_than_the_burst_and_the_rate() -> None:
    buckets = TokenBuckets(REQUESTS_PER_S_PER_ACCOUNT, REQUESTS_AT_ONCE_PER_ACCOUNT, 10, REQUEST_WAIT_MAX_S)
    taken = 0
    for step in range(200_000):
        wait_s = buckets.take("ann", step / 10_000)
        if wait_s is not None:
            assert 0 <= wait_s <= REQUEST_WAIT_MAX_S
            taken += 1
    most = REQUESTS_AT_ONCE_PER_ACCOUNT + (20 + REQUEST_WAIT_MAX_S) * REQUESTS_PER_S_PER_ACCOUNT
    assert most - 2 <= taken <= most


def test_a_clock_that_goes_back_takes_nothing_away_and_the_keys_are_bounded() -> None:
    buckets = TokenBuckets(1, 2, keys_max=3)
    assert buckets.take("ann", 1000.0) == 0
    assert buckets.take("ann", 0.0) == 0
    assert buckets.take("ann", 0.0) is None
    for number in range(100):
        assert buckets.take(str(number), 0.0) == 0
    assert len(buckets._left) == 3


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_no_stretch_of_time_has_more_than_its_rate_and_what_is_allowed_at_once(pauses: list[float]) -> None:
    per_s, at_once = 2.0, 5
    buckets, now_s, begun = TokenBuckets(per_s, at_once, keys_max=3), 0.0, []
    for pause_s in pauses:
        now_s += pause_s
        if buckets.take("ann", now_s) is not None:
            begun.append(now_s)
    for first, start_s in enumerate(begun):
        for last in range(first, len(begun)):
            assert last - first + 1 <= at_once + per_s * (begun[last] - start_s) + 1e-6

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.rules.throttle import ENTRIES_MAX, Throttle

HERE, THERE = "192.0.2.1", "198.51.100.7"


def wrong(throttle: Throttle, times: int, user_id: str = "ann", host: str = HERE, now_s: float = 0.0) -> None:
    for _ in range(times):
        throttle.begin(user_id, host, now_s)


def test_the_delay_of_a_guesser_grows_and_is_forgotten() -> None:
    throttle = Throttle()
    delays = []
    for tries in range(1, 20):
        wrong(throttle, 1)
        delays.append(throttle.refused_for_s("ann", HERE, 0.0))
        assert (tries < 5) == (delays[-1] == 0)
    assert delays[4:8] == [1, 2, 4, 8]
    assert delays == sorted(delays)
    assert delays[-1] == 300
    assert throttle.refused_for_s("ann", HERE, 299.0) == 1
    assert throttle.refused_for_s("ann", HERE, 300.0) == 0
    assert throttle.refused_for_s("ann", HERE, 1000.0) == 0
    wrong(throttle, 1, now_s=1000.0)
    assert throttle.refused_for_s("ann", HERE, 1000.0) == 0


def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_the_rule() -> None:
    throttle = Throttle()
    wrong(throttle, 8, now_s=100_000.0)
    assert throttle.refused_for_s("ann", HERE, 100.0) == 8
    assert throttle.refused_for_s("ann", HERE, 104.0) == 4
    assert throttle.refused_for_s("ann", HERE, 108.0) == 0


def test_strangers_cannot_lock_an_owner_out() -> None:
    throttle = Throttle()
    for number in range(2000):
        wrong(throttle, 3, host=f"203.0.113.{number}")
    assert throttle.refused_for_s("ann", HERE, 0.0) == 0
    assert throttle.begin("ann", HERE, 0.0) == 8.0  # late, but never refused
    throttle.succeeded("ann", HERE)
    assert throttle.begin("ann", HERE, 0.0) == 0.0
    throttle.succeeded("ann", HERE)
    wrong(throttle, 50, "somebody", HERE)
    assert throttle.refused_for_s("ann", HERE, 0.0) == 0, "whoever shares an address is not punished for another"
    assert throttle.refused_for_s("ben", HERE, 0.0) > 0


def test_own_successes_do_not_pay_for_guesses_at_others() -> None:
    throttle = Throttle()
    for _ in range(60):
        throttle.begin("mallory", HERE, 0.0)
        throttle.succeeded("mallory", HERE)
        throttle.begin(f"victim{secrets.token_hex(4)}", HERE, 0.0)
    assert throttle.refused_for_s("next", HERE, 0.0) > 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_a_subscriber_is_a_v4_address_or_a_v6_network(one: str, other: str, is_same: bool) -> None:
    throttle = Throttle()
    wrong(throttle, 10, host=one)
    assert (throttle.refused_for_s("ann", other, 0.0) > 0) == is_same


def test_what_is_remembered_of_guessers_is_bounded() -> None:
    throttle = Throttle()
    for number in range(ENTRIES_MAX + 1000):
        wrong(throttle, 1, f"user{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    for counts in (throttle._pairs, throttle._addresses, throttle._accounts):
        assert len(counts._tries) == ENTRIES_MAX


@given(st.lists(st.tuples(st.booleans(), st.floats(-500, 100)), max_size=60))
def test_no_delay_is_ever_negative_or_beyond_the_longest(steps: list[tuple[bool, float]]) -> None:
    throttle, now_s = Throttle(), 0.0
    for is_right, pause_s in steps:
        now_s += pause_s
        assert 0 <= throttle.begin("ann", HERE, now_s) <= 8
        if is_right:
            throttle.succeeded("ann", HERE)
        assert 0 <= throttle.refused_for_s("ann", HERE, now_s) <= 300

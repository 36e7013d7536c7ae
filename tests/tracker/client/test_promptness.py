from hypothesis import given
from hypothesis import strategies as st

from tracker.client.promptness import PATIENCE_MAX_S, PATIENCE_MIN_S, Promptness

TIMES = st.floats(0, 3600)


@given(st.lists(TIMES))
def test_patience_is_bounded_whatever_was_seen(times_s: list[float]) -> None:
    promptness = Promptness()
    for time_s in times_s:
        promptness.answered(time_s)
    assert PATIENCE_MIN_S <= promptness.patience_s <= PATIENCE_MAX_S


def test_a_tracker_far_away_is_given_more_time() -> None:
    near, far = Promptness(), Promptness()
    for _ in range(5):
        near.answered(0.002)
        far.answered(0.2)
    assert near.patience_s == PATIENCE_MIN_S
    assert 0.2 < far.patience_s < PATIENCE_MAX_S


def test_one_late_answer_changes_little() -> None:
    promptness = Promptness()
    promptness.answered(0.1)
    promptness.answered(0.5)
    assert promptness.patience_s < 0.7


def test_whoever_let_a_call_lapse_is_late_until_it_answers() -> None:
    promptness = Promptness()
    assert not promptness.is_lapsing
    promptness.lapsed()
    assert promptness.is_lapsing
    promptness.answered(30.0)
    assert not promptness.is_lapsing

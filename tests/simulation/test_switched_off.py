"""Each rule that is worth something is missed when it is switched off."""

import pytest

from tests.testkit.simulation import scenarios
from tests.testkit.simulation.switched_off import RULES


@pytest.fixture(scope="module")
def origin_share() -> float:
    """With all rules, of the origin's upload until every piece is out once."""
    return scenarios.run_equal(8, 64, 1).origin_share


@pytest.mark.parametrize("rule", ["receiver's choice", "1 candidate"])
def test_without_it_the_origin_sends_pieces_twice(rule: str, origin_share: float) -> None:
    assert scenarios.run_equal(8, 64, 1, make=RULES[rule]).origin_share > origin_share + 0.1


def test_overlapping_candidates_still_give_a_whole_file() -> None:
    assert scenarios.run_equal(8, 64, 1, make=RULES["candidates not disjoint"]).is_finished


def test_without_splitting_a_slow_link_keeps_everybody_waiting() -> None:
    split, whole = scenarios.run_unequal(8, 64, 1), scenarios.run_unequal(8, 64, 1, make=RULES["no splitting"])
    assert whole.ratios[-1] > split.ratios[-1] + 0.05


def test_slots_by_account_keep_a_crowd_of_one_from_crowding_out_others() -> None:
    fair = scenarios.run_star(3, 10, scenarios.LAN_RATE, 40, 1, account="crowd")
    by_link = scenarios.run_star(3, 10, scenarios.LAN_RATE, 40, 1)
    assert fair.ratios[-1] < 0.8 * by_link.ratios[-1]


def test_links_that_never_read_hold_no_slots() -> None:
    assert scenarios.run_star(3, 8, 1.0, 64, 1).ratios[-1] < 2.0

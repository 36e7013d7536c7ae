"""Small swarms in virtual time: how near the slowest comes to the bound, and what one bad peer costs the others.

`python -m bench simulate` shows the same for large ones.
"""

import math

import pytest

from tests.testkit.simulation import scenarios


@pytest.mark.parametrize("seed", range(3))
def test_the_slowest_of_eight_is_close_to_the_bound_and_nothing_is_wasted(seed: int) -> None:
    outcome = scenarios.run_equal(8, 256, seed)
    assert outcome.ratios[-1] <= 1.04
    assert outcome.origin_share <= 1.03
    assert outcome.wasted < 0.005


@pytest.mark.parametrize("seed", range(3))
def test_everybody_finishes_when_the_origin_leaves_once_every_piece_is_out(seed: int) -> None:
    outcome = scenarios.run_without_origin(12, 48, seed)
    assert outcome.swarm.nodes[0].is_gone
    assert outcome.is_finished


@pytest.mark.parametrize("seed", range(3))
def test_a_peer_that_falls_silent_with_the_last_pieces_holds_nobody_up_for_long(seed: int) -> None:
    outcome = scenarios.run_with_silent(8, 96, seed)
    assert outcome.is_finished
    assert all(took_s <= 3 * share_s + 1.0 for took_s, share_s in scenarios.last_percent(outcome))


def test_a_liar_is_found_out_and_the_honest_finish() -> None:
    outcome = scenarios.run_with_liar(6, 64, seed=7)
    assert outcome.is_finished
    liar = outcome.swarm.nodes[1].number
    assert {number for node in outcome.leechers for number in node.banned} == {liar}


def test_a_slow_leecher_costs_the_others_little() -> None:
    slow, equals = scenarios.run_with_slow(8, 256, seed=8), scenarios.run_equal(8, 256, seed=8)
    assert slow.ratios[-1] <= 1.05 * equals.ratios[-1]


def test_who_joins_a_running_swarm_fills_his_own_link() -> None:
    outcome = scenarios.run_newcomers(4, 12, 64, seed=9, within_s=2.0)
    assert outcome.ratios[-1] <= 1.15


def test_far_peers_waste_nothing_to_speak_of() -> None:
    """What a cut calls off is on its way for a round trip already: then it is not worth it."""
    assert scenarios.run_far(12, 96, seed=1).wasted < 0.005


def test_one_seed_gives_one_course() -> None:
    one, other = (scenarios.run_equal(4, 64, seed=9).took_s for _ in range(2))
    assert one == other
    assert max(one) < math.inf

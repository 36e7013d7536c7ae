"""Whole swarms in virtual time: how near the slowest comes to the bound, and what one bad peer costs the others.

The bound for equal links: size / uplink · (1 + log2(N + 1) / pieces). The engine's own decisions drive every node.
"""

import math

import pytest

from engine.swarm.geometry import Geometry
from tests.simulation.swarm import Node, Swarm

PIECE_BYTES = 256 << 10
RATE = 12.5e6


def full_mesh(
    leechers: int, pieces: int, seed: int, *, origins: int = 1, slow: int = 0
) -> tuple[Swarm, list[Node], list[Node]]:
    """Everybody has a link to everybody; the first `slow` leechers have a tenth of the rate."""
    swarm = Swarm(Geometry(pieces * PIECE_BYTES, PIECE_BYTES), seed)
    first = [swarm.add(RATE, is_origin=True) for _ in range(origins)]
    others = [swarm.add(RATE / 10 if number < slow else RATE) for number in range(leechers)]
    for fetcher in others:
        for server in (*first, *others):
            if server is not fetcher:
                swarm.link(fetcher, server)
    return swarm, first, others


def bound_s(leechers: int, pieces: int) -> float:
    return pieces * PIECE_BYTES / RATE * (1 + math.log2(leechers + 1) / pieces)


def slowest_s(nodes: list[Node]) -> float:
    finished = [node.finished_at_s for node in nodes]
    return max(at_s if at_s is not None else math.inf for at_s in finished)


@pytest.mark.parametrize("seed", range(3))
def test_the_slowest_of_eight_is_close_to_the_bound_and_nothing_is_wasted(seed: int) -> None:
    swarm, _, leechers = full_mesh(8, 256, seed)
    assert swarm.run(600)
    assert slowest_s(leechers) <= 1.06 * bound_s(8, 256)
    assert swarm.origin_bytes_when_out <= 1.03 * swarm.geometry.size_bytes
    assert sum(node.wasted_bytes for node in leechers) < 0.005 * 8 * swarm.geometry.size_bytes


def test_everybody_finishes_when_the_origin_leaves_once_every_piece_is_out() -> None:
    swarm, (origin,), leechers = full_mesh(4, 64, seed=5)
    while swarm.all_out_at_s is None:
        swarm.run(swarm.clock.now_s + 0.02)
    swarm.leave(origin)
    assert swarm.run(600)
    assert slowest_s(leechers) < math.inf


def test_a_seeder_that_falls_silent_holds_nobody_up_for_long() -> None:
    swarm, (_, silent), leechers = full_mesh(4, 64, seed=6, origins=2)
    swarm.run(0.5)
    silent.port.stall()
    assert swarm.run(60)
    assert slowest_s(leechers) <= bound_s(4, 64) + 1.0


def test_a_liar_is_found_out_and_the_honest_finish() -> None:
    swarm, _, leechers = full_mesh(4, 64, seed=7)
    leechers[1].lies = 0.3
    assert swarm.run(60)
    assert any(leechers[1].number in node.banned for node in leechers)
    honest = {node.number for node in leechers} - {leechers[1].number}
    assert not any(node.banned & honest for node in leechers)


def test_a_slow_leecher_costs_the_others_little() -> None:
    swarm, _, leechers = full_mesh(8, 128, seed=8, slow=1)
    alone, _, equals = full_mesh(8, 128, seed=8)
    assert swarm.run(600)
    assert alone.run(600)
    assert slowest_s(leechers[1:]) <= 1.05 * slowest_s(equals)


def test_one_seed_gives_one_course() -> None:
    ends = []
    for _ in range(2):
        swarm, _, leechers = full_mesh(4, 64, seed=9)
        swarm.run(600)
        ends.append([node.finished_at_s for node in leechers])
    assert ends[0] == ends[1]

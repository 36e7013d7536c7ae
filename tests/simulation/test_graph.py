"""Random regular graphs."""

import random

import pytest

from tests.testkit.simulation.graph import regular_graph


@pytest.mark.parametrize(("count", "degree"), [(12, 10), (65, 10), (300, 16)])
def test_everybody_has_as_many_neighbours_and_is_theirs(count: int, degree: int) -> None:
    graph = regular_graph(count, degree, random.Random(1))
    assert {len(neighbours) for neighbours in graph} == {degree}
    assert all(node in graph[other] and node != other for node in range(count) for other in graph[node])


def test_a_small_swarm_is_a_full_mesh() -> None:
    assert regular_graph(5, 10, random.Random(1)) == [set(range(5)) - {node} for node in range(5)]


def test_neighbours_are_drawn_by_chance() -> None:
    ring = {(node, (node + 1) % 100) for node in range(100)}
    graph = regular_graph(100, 10, random.Random(1))
    assert sum(other in graph[node] for node, other in ring) < 30

"""Who has a link to whom: a random regular graph, as the tracker's handouts make it.

Not here: how the tracker comes to it (tracker.rules.handout).
"""

import random
from collections.abc import Sequence

_SWAPS_PER_EDGE = 10


def regular_graph(count: int, degree: int, rng: random.Random) -> list[set[int]]:
    """The neighbours of each of `count` nodes, `degree` (even) of them, or all others if there are no more."""
    if degree >= count - 1:
        return [set(range(count)) - {node} for node in range(count)]
    neighbours: list[set[int]] = [set() for _ in range(count)]
    edges = [(node, (node + step) % count) for node in range(count) for step in range(1, degree // 2 + 1)]
    for one, other in edges:
        neighbours[one].add(other)
        neighbours[other].add(one)
    for _ in range(_SWAPS_PER_EDGE * len(edges)):
        _swap(edges, neighbours, rng)
    return neighbours


def _swap(edges: list[tuple[int, int]], neighbours: Sequence[set[int]], rng: random.Random) -> None:
    """Two edges exchange their ends, so that every degree stays as it is."""
    first, second = rng.randrange(len(edges)), rng.randrange(len(edges))
    (a, b), (c, d) = edges[first], edges[second]
    if len({a, b, c, d}) < 4 or d in neighbours[a] or b in neighbours[c]:
        return
    for one, old, new in ((a, b, d), (b, a, c), (c, d, b), (d, c, a)):
        neighbours[one].remove(old)
        neighbours[one].add(new)
    edges[first], edges[second] = (a, d), (c, b)

"""Simulated swarms: which peers with which links, what happens to them, and how long each leecher has to take at least.

One file of pieces of 1 MiB over links of 1 Gbit/s and 0.4 ms there and back, unless said otherwise: a local network.
Every leecher's bound is the least time in which it could have the file under any scheduling:

- equal links: size / rate · (1 + log2(N + 1) / pieces), since a piece must be whole before it is passed on;
- unequal links: the longest of its own downlink, the origin's uplink, and all uplinks together for all leechers.

The same seed gives the same course. Not here: what should be reached (bench.swarms.simulate, test_swarm).
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.swarm.geometry import Geometry
from tests.testkit.simulation.graph import regular_graph
from tests.testkit.simulation.node import Node
from tests.testkit.simulation.swarm import Swarm
from tracker.rules.handout import DEGREE

PIECE_BYTES = 1 << 20
LAN_RATE = 125e6
LAN_LATENCY_S = 0.0001
FOREVER_S = 1e3

MakeSwarm = Callable[[Geometry, int], Swarm]
"""Of a file and a seed: the swarm as it is, or one with a rule switched off (switched_off)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run. Per leecher, in the order of `leechers`: when it was done (inf: never), its bound."""

    swarm: Swarm
    leechers: list[Node]
    took_s: list[float]
    bounds_s: list[float]

    @property
    def ratios(self) -> list[float]:
        """Time over bound, from the quickest to the slowest."""
        return sorted(took / bound for took, bound in zip(self.took_s, self.bounds_s, strict=True))

    @property
    def is_finished(self) -> bool:
        return all(took < math.inf for took in self.took_s)

    @property
    def wasted(self) -> float:
        """Bytes that were received and not kept, over the bytes received."""
        received = sum(node.port.received_bytes for node in self.leechers)
        return sum(node.wasted_bytes for node in self.leechers) / received

    @property
    def origin_share(self) -> float:
        """What the origin had sent when every piece was out once, over the size."""
        return self.swarm.origin_bytes_when_out / self.swarm.geometry.size_bytes


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of `ordered` that so large a share does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def geometry(pieces: int) -> Geometry:
    return Geometry(pieces * PIECE_BYTES, PIECE_BYTES)


def equal_bound_s(leechers: int, pieces: int, rate: float = LAN_RATE) -> float:
    return pieces * PIECE_BYTES / rate * (1 + math.log2(leechers + 1) / pieces)


def finish(swarm: Swarm, leechers: list[Node], bounds_s: list[float]) -> Outcome:
    """Run to the end."""
    swarm.run(FOREVER_S)
    return _outcome(swarm, leechers, bounds_s)


def _outcome(swarm: Swarm, leechers: list[Node], bounds_s: list[float]) -> Outcome:
    took = [math.inf if node.finished_at_s is None else node.finished_at_s - node.joined_at_s for node in leechers]
    return Outcome(swarm, leechers, took, bounds_s)


def connect(swarm: Swarm, degree: int, seed: int) -> None:
    """Every pair of neighbours of a random regular graph over all nodes fetches from each other."""
    nodes = swarm.nodes
    for node, neighbours in zip(nodes, regular_graph(len(nodes), degree, random.Random(seed)), strict=True):
        if node.scheduler is not None:
            for other in sorted(neighbours):
                swarm.link(node, nodes[other])


def equal(
    leechers: int, pieces: int, seed: int, *, degree: int = DEGREE, make: MakeSwarm = Swarm
) -> tuple[Swarm, list[Node]]:
    """An origin and leechers with equal links, all there at the start; node 0 is the origin."""
    swarm = make(geometry(pieces), seed)
    for number in range(leechers + 1):
        swarm.add(LAN_RATE, latency_s=LAN_LATENCY_S, is_origin=not number)
    connect(swarm, degree, seed)
    return swarm, swarm.nodes[1:]


def run_equal(leechers: int, pieces: int, seed: int, *, degree: int = DEGREE, make: MakeSwarm = Swarm) -> Outcome:
    swarm, nodes = equal(leechers, pieces, seed, degree=degree, make=make)
    return finish(swarm, nodes, [equal_bound_s(leechers, pieces)] * leechers)


def run_with_slow(leechers: int, pieces: int, seed: int) -> Outcome:
    """The first leecher has a tenth of the rate; the outcome is that of the others."""
    swarm = Swarm(geometry(pieces), seed)
    for number in range(leechers + 1):
        swarm.add(LAN_RATE / 10 if number == 1 else LAN_RATE, latency_s=LAN_LATENCY_S, is_origin=not number)
    connect(swarm, DEGREE, seed)
    others = swarm.nodes[2:]
    return finish(swarm, others, [equal_bound_s(leechers, pieces)] * len(others))


def run_without_origin(leechers: int, pieces: int, seed: int) -> Outcome:
    """The origin is killed in the moment in which every piece is out once."""
    swarm, nodes = equal(leechers, pieces, seed)
    swarm.on_all_out = lambda: swarm.leave(swarm.nodes[0])
    return finish(swarm, nodes, [equal_bound_s(leechers, pieces)] * leechers)


def run_with_silent(leechers: int, pieces: int, seed: int, *, make: MakeSwarm = Swarm) -> Outcome:
    """When the first leecher has 99 % of the pieces, the one that sends to the most others says nothing any more."""
    swarm, nodes = equal(leechers, pieces, seed, make=make)
    while max(len(node.verified_at_s) for node in nodes) < 0.99 * pieces:
        swarm.run(swarm.clock.now_s + 0.001)
    silent = max(nodes, key=lambda node: sum(serving.sending is not None for serving in node.serving.values()))
    swarm.fall_silent(silent)
    others = [node for node in nodes if node is not silent]
    return finish(swarm, others, [equal_bound_s(leechers, pieces)] * len(others))


def last_percent(outcome: Outcome) -> Iterator[tuple[float, float]]:
    """For each leecher: seconds from 99 % to 100 % of the pieces, and a hundredth of its whole time."""
    for node, took_s in zip(outcome.leechers, outcome.took_s, strict=True):
        at_99 = node.verified_at_s[math.ceil(0.99 * len(node.verified_at_s)) - 1]
        yield node.verified_at_s[-1] - at_99, took_s / 100


def run_newcomers(
    first: int, newcomers: int, pieces: int, seed: int, *, rate: float = 12.5e6, within_s: float = 10.0
) -> Outcome:
    """A quarter into a swarm of `first` leechers `newcomers` join within ten seconds; the outcome is theirs.

    A newcomer's own bound: its downlink, full from the moment it joined.
    """
    swarm = Swarm(geometry(pieces), seed)
    for number in range(first + 1):
        swarm.add(rate, latency_s=LAN_LATENCY_S, is_origin=not number)
    connect(swarm, DEGREE, seed)
    begin_s = pieces * PIECE_BYTES / rate / 4
    for number in range(newcomers):
        swarm.clock.after(begin_s + within_s * number / newcomers, _join, swarm, rate)
    swarm.clock.run(lambda: len(swarm.nodes) > first + newcomers)
    joined = swarm.nodes[first + 1 :]
    return finish(swarm, joined, [swarm.geometry.size_bytes / rate] * newcomers)


def _join(swarm: Swarm, rate: float) -> None:
    """As the handout has it: with those who have the fewest links, both ways."""
    others = list(swarm.nodes)
    swarm.rng.shuffle(others)
    others.sort(key=lambda node: len(node.serving))
    newcomer = swarm.add(rate, latency_s=LAN_LATENCY_S)
    for other in others[:DEGREE]:
        swarm.link(newcomer, other)
        swarm.link(other, newcomer)


def run_unequal(leechers: int, pieces: int, seed: int, *, make: MakeSwarm = Swarm) -> Outcome:
    """Links of 250, 500, 1000 and 2000 Mbit/s, as often each; the origin has 1000."""
    swarm = make(geometry(pieces), seed)
    rates = [LAN_RATE * (0.25, 0.5, 1.0, 2.0)[number % 4] for number in range(leechers)]
    for number, rate in enumerate([LAN_RATE, *rates]):
        swarm.add(rate, latency_s=LAN_LATENCY_S, is_origin=not number)
    connect(swarm, DEGREE, seed)
    size = swarm.geometry.size_bytes
    together_s = leechers * size / (LAN_RATE + sum(rates))
    return finish(swarm, swarm.nodes[1:], [max(size / min(rate, LAN_RATE), together_s) for rate in rates])


def run_far(leechers: int, pieces: int, seed: int) -> Outcome:
    """10 to 100 ms there and back between any two."""
    swarm = Swarm(geometry(pieces), seed)
    for number in range(leechers + 1):
        swarm.add(LAN_RATE, latency_s=swarm.rng.uniform(0.0025, 0.025), is_origin=not number)
    connect(swarm, DEGREE, seed)
    return finish(swarm, swarm.nodes[1:], [equal_bound_s(leechers, pieces)] * leechers)


def run_with_liar(leechers: int, pieces: int, seed: int) -> Outcome:
    """The first leecher sends a wrong piece now and then (a tenth of them); the outcome is that of the others."""
    swarm, nodes = equal(leechers, pieces, seed)
    nodes[0].lies = 0.1
    return finish(swarm, nodes[1:], [equal_bound_s(leechers, pieces)] * (leechers - 1))


def run_with_stalls(leechers: int, pieces: int, seed: int) -> Outcome:
    """Every fourth leecher sends nothing for a second, at some time."""
    swarm, nodes = equal(leechers, pieces, seed)
    for node in nodes[::4]:
        begin_s = swarm.rng.uniform(0.0, equal_bound_s(leechers, pieces))
        swarm.clock.after(begin_s, node.port.stall)
        swarm.clock.after(begin_s + 1.0, node.port.resume)
    return finish(swarm, nodes, [equal_bound_s(leechers, pieces)] * leechers)


def run_star(
    quick: int, others: int, other_rate: float, pieces: int, seed: int, *, account: str = "", make: MakeSwarm = Swarm
) -> Outcome:
    """A seeder, and leechers without a link to each other; the `others` came first. The outcome of the quick ones.

    Their bound: the uplink, shared by them and one more. `account`: of all the others.
    """
    swarm = make(geometry(pieces), seed)
    origin = swarm.add(LAN_RATE, latency_s=LAN_LATENCY_S, is_origin=True)
    for _ in range(others):
        swarm.link(swarm.add(LAN_RATE, other_rate, LAN_LATENCY_S, account=account), origin)
    swarm.run(0.1)
    nodes = [swarm.add(LAN_RATE, latency_s=LAN_LATENCY_S) for _ in range(quick)]
    for node in nodes:
        swarm.link(node, origin)
    while any(node.finished_at_s is None for node in nodes):
        swarm.run(swarm.clock.now_s + 0.1)
    return _outcome(swarm, nodes, [(quick + 1) * swarm.geometry.size_bytes / LAN_RATE] * quick)

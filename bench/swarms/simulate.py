"""Whole swarms in virtual time, driven by the engine's own decisions: how near the slowest comes to the bound.

Scheduler, slots, sender's choice and endgame are the engine's (engine/swarm); links, messages and peers are those of
tests/testkit/simulation. The bound for equal links is size / rate · (1 + log2(N + 1) / pieces). One seed gives one
course, so the figures are the same on every machine. Not for: what sockets, disks and processors cost (swarm, compare).
"""

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from bench.record import curves
from bench.record.report import Figure, Section
from tests.testkit.simulation import scenarios
from tests.testkit.simulation.scenarios import Outcome, percentile
from tracker.rules.handout import DEGREE

_HEADER = ["swarm", "p50", "p99", "p100", "wasted %", "origin, × size", "CPU s"]
_METHOD = """\
Equal links of 1 Gbit/s, 0.4 ms there and back, pieces of 1 MiB, a random regular graph of the given degree, unless said
otherwise. p50, p99, p100: time over bound of the median leecher, of 99 in 100, and of the slowest. Origin: what it had
sent when every piece was out once. Where several seeds ran, a row shows the worst of them."""

_GOAL = 1.06
"""Of the slowest, over its bound."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One row: the same scenario with one or several seeds."""

    name: str
    outcomes: list[Outcome]
    cpu_s: float

    @property
    def slowest(self) -> float:
        return max(outcome.ratios[-1] for outcome in self.outcomes)

    @property
    def wasted_percent(self) -> float:
        return 100 * max(outcome.wasted for outcome in self.outcomes)

    def row(self) -> list[str]:
        at = [max(percentile(outcome.ratios, share) for outcome in self.outcomes) for share in (0.5, 0.99, 1.0)]
        origin = max(outcome.origin_share for outcome in self.outcomes)
        wasted = f"{self.wasted_percent:.3f}"
        return [self.name, *(f"{each:.3f}" for each in at), wasted, f"{origin:.3f}", f"{self.cpu_s:.1f}"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--leechers", type=int, nargs="+", default=[8, 16, 64, 256, 1000], metavar="N")
    parser.add_argument("--pieces", type=int, default=1000)
    parser.add_argument("--degree", type=int, default=DEGREE, help="links of a client, an even number")
    parser.add_argument("--troubled", type=int, default=32, metavar="N", help="leechers where something goes wrong")
    parser.add_argument("--newcomers", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3, help="of the swarms in which something goes wrong")


def measure(options: argparse.Namespace) -> Section:
    spreads = [_spread(leechers, options) for leechers in options.leechers]
    usual, slow, orphans, silent, *others = _troubles(options)
    joined = _newcomers(options)
    runs = [*spreads, usual, slow, orphans, silent, *others, joined]
    figures = [*_of_spreads(spreads, options), *_of_trouble(usual, slow, orphans, silent), *_of_all(joined, runs)]
    return Section(
        "simulate",
        f"Swarms of up to {max(options.leechers)} leechers in virtual time, {options.pieces} pieces",
        _METHOD,
        _HEADER,
        [run.row() for run in runs],
        figures,
        data={run.name: [_thinned(outcome.ratios) for outcome in run.outcomes] for run in runs},
        pictures=_pictures(options.leechers, spreads),
    )


def _thinned(ratios: list[float]) -> list[float]:
    return ratios[:: max(1, len(ratios) // 100)]


def _spread(leechers: int, options: argparse.Namespace) -> _Run:
    pieces, degree = options.pieces, options.degree
    return _run(f"1 → {leechers}", lambda seed: scenarios.run_equal(leechers, pieces, seed, degree=degree), [1])


def _troubles(options: argparse.Namespace) -> list[_Run]:
    named: dict[str, Callable[[int, int, int], Outcome]] = {
        f"1 → {options.troubled}": scenarios.run_equal,
        "one at a tenth of the rate: the others": scenarios.run_with_slow,
        "origin killed when every piece is out once": scenarios.run_without_origin,
        "one falls silent at 99 %: the others": scenarios.run_with_silent,
        "one lies (a tenth of its pieces): the others": scenarios.run_with_liar,
        "every fourth sends nothing for a second": scenarios.run_with_stalls,
        "links of 250 to 2000 Mbit/s": scenarios.run_unequal,
        "10 to 100 ms there and back": scenarios.run_far,
    }
    seeds = range(1, options.seeds + 1)
    return [
        _run(f"{name}, worst of {len(seeds)}", partial(scenario, options.troubled, options.pieces), seeds)
        for name, scenario in named.items()
    ]


def _newcomers(options: argparse.Namespace) -> _Run:
    first, count = options.newcomers // 4, options.newcomers
    name = f"{count} join 1 → {first} within 10 s (100 Mbit/s): the newcomers"
    return _run(name, partial(scenarios.run_newcomers, first, count, options.pieces), [1])


def _run(name: str, scenario: Callable[[int], Outcome], seeds: Sequence[int]) -> _Run:
    print(name, file=sys.stderr, flush=True)
    started_s = time.process_time()
    gc.disable()  # a swarm makes no garbage in circles to speak of, and looking for it takes a quarter of the time
    try:
        outcomes = [scenario(seed) for seed in seeds]
    finally:
        gc.enable()
    return _Run(name, outcomes, time.process_time() - started_s)


def _of_spreads(spreads: Sequence[_Run], options: argparse.Namespace) -> list[Figure]:
    largest = spreads[-1]
    origin = max(outcome.origin_share for run in spreads for outcome in run.outcomes)
    return [
        Figure(f"{largest.name}, {options.pieces} pieces, degree {options.degree}: p100 / bound", _GOAL,
               largest.slowest, "×", "at most", f"{largest.cpu_s:.0f} s of CPU"),
        Figure("origin's upload until every piece is out once", 1.03, origin, "× size", "at most",
               f"the worst of 1 → {', '.join(map(str, options.leechers))}"),
    ]  # fmt: skip


def _of_trouble(usual: _Run, slow: _Run, orphans: _Run, silent: _Run) -> list[Figure]:
    pairs = zip(usual.outcomes, slow.outcomes, strict=True)
    slowdowns = [100 * (trouble.ratios[-1] / plain.ratios[-1] - 1) for plain, trouble in pairs]
    finished = 100 * statistics.mean(outcome.is_finished for outcome in orphans.outcomes)
    last = [each for outcome in silent.outcomes for each in scenarios.last_percent(outcome)]
    return [
        Figure("one leecher at a tenth of the rate: slowdown of the slowest other", 5.0,
               statistics.median(slowdowns), "%", "at most", f"median of {len(slowdowns)} seeds"),
        Figure("origin killed when every piece is out once: everyone finishes", 100.0, finished, "% of the runs",
               "at least", f"{len(orphans.outcomes)} seeds"),
        Figure("silent with the last pieces: from 99 % to 100 %, beyond 3 × its share", 1.0,
               max(took_s - 3 * share_s for took_s, share_s in last), "s", "at most",
               f"the worst of {len(last)} leechers; {max(took_s for took_s, _ in last):.2f} s in all"),
    ]  # fmt: skip


def _of_all(joined: _Run, runs: Sequence[_Run]) -> list[Figure]:
    worst = max(runs, key=lambda run: run.wasted_percent)
    return [
        Figure("newcomers: p100 / own bound", 1.15, joined.slowest, "×", "at most",
               "own bound: size / its downlink, from when it joined"),
        Figure("wasted in any run", 0.5, worst.wasted_percent, "%", "at most", worst.name),
    ]  # fmt: skip


def _pictures(leechers: Sequence[int], spreads: Sequence[_Run]) -> dict[str, str]:
    """Empty where there is nothing to draw with."""
    largest = spreads[-1].outcomes[0]
    shares = {share: [percentile(run.outcomes[0].ratios, share) for run in spreads] for share in (0.5, 0.99, 1.0)}
    course = [(node.verified_at_s, bound_s) for node, bound_s in zip(largest.leechers, largest.bounds_s, strict=True)]
    title = f"Virtual time: 1 → {leechers[-1]}, {largest.swarm.geometry.piece_count} pieces"
    with suppress(ModuleNotFoundError):
        return {
            "simulated_completion.svg": curves.completion(course, title),
            "simulated_bound.svg": curves.against_bound(leechers, shares, _GOAL),
        }
    return {}

"""What each rule of scheduling is worth: swarms in virtual time, with one rule switched off at a time.

A row is a rule switched off (tests/testkit/simulation/switched_off) in three swarms: equal links; links of 250 to 2000
Mbit/s; equal links, of which one falls silent when the first leecher has 99 %. Not for: goals (simulate has them).
"""

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import mean

from bench.record.report import Figure, Section
from engine.settings import Settings
from tests.testkit.simulation import scenarios
from tests.testkit.simulation.scenarios import LAN_RATE, MakeSwarm, Outcome
from tests.testkit.simulation.swarm import Swarm
from tests.testkit.simulation.switched_off import RULES

_HEADER = [
    "", "equal links: slowest / bound", "origin until all is out, × size", "wasted %", "unequal links: slowest / bound",
    "one falls silent: 99 % → 100 %, s",
]  # fmt: skip
_METHOD = """\
Mean of the seeds. Links, pieces and bounds as in `simulate`. "never": a leecher still waits after a thousand seconds
for a peer that will not speak again, since the simulator's links do not time out."""
_HUNG_UP_ON_S = Settings().silence_timeout_s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--leechers", type=int, default=64, help="with equal links; a quarter as many in the others")
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)


def measure(options: argparse.Namespace) -> Section:
    return Section(
        "rules",
        f"Each rule of scheduling switched off, 1 → {options.leechers} and {options.leechers // 4}, "
        f"{options.pieces} pieces",
        _METHOD,
        _HEADER,
        [_row(name, make, options) for name, make in RULES.items()],
        _of_slots(options),
    )


def _row(name: str, make: MakeSwarm, options: argparse.Namespace) -> list[str]:
    print(name, file=sys.stderr, flush=True)
    few = options.leechers // 4

    def each(scenario: Callable[..., Outcome], leechers: int) -> list[Outcome]:
        return [scenario(leechers, options.pieces, seed, make=make) for seed in range(1, options.seeds + 1)]

    equal, unequal = each(scenarios.run_equal, options.leechers), each(scenarios.run_unequal, few)
    silent = each(scenarios.run_with_silent, few)
    last_s = [max((took_s for took_s, _ in scenarios.last_percent(each)), default=math.inf) for each in silent]
    return [
        name,
        _mean([outcome.ratios[-1] for outcome in equal]),
        _mean([outcome.origin_share for outcome in equal]),
        _mean([100 * outcome.wasted for outcome in [*equal, *unequal, *silent]]),
        _mean([outcome.ratios[-1] for outcome in unequal]),
        _mean(last_s) if all(outcome.is_finished for outcome in silent) else "never",
    ]


def _mean(values: list[float]) -> str:
    return f"{mean(values):.3f}"


def _of_slots(options: argparse.Namespace) -> list[Figure]:
    """What holds slots, at a seeder whose leechers have nobody else."""
    impatient = partial(Swarm, settings=replace(Settings(), slot_patience_s=_HUNG_UP_ON_S))

    def slowest(others: int, rate: float, make: MakeSwarm = Swarm, account: str = "") -> float:
        return scenarios.run_star(3, others, rate, options.pieces, 1, account=account, make=make).ratios[-1]

    found = {
        "three beside ten links of one account": slowest(10, LAN_RATE, account="crowd"),
        "the same, slots by link instead of by account": slowest(10, LAN_RATE),
        "three beside eight that never read": slowest(8, 1.0),
        "the same, slots kept until they are hung up on": slowest(8, 1.0, impatient),
        "three beside eight at a hundredth of the rate": slowest(8, LAN_RATE / 100),
        "the same, slots kept while they are slow": slowest(8, LAN_RATE / 100, impatient),
    }
    note = "time of the slowest over that with a quarter of the seeder's uplink"
    return [Figure(name, None, value, "×", "at most", note) for name, value in found.items()]

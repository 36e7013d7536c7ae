"""What floods leave of an honest download's rate, and how long they make an honest login take.

A tracker, a seeder and a leecher run as real processes on loopback, with one attacker (tests.testkit.floods.attacker)
at a time, which comes from other addresses and at a bounded rate. Each round is measured three times: quiet, under the
flood, and beside a bystander that takes as much CPU as the attacker took, since all share the machine. The goal holds
for the flood against quiet; the bystander shows how much of a loss is the attacker's own use of the CPU.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.record.report import Figure, Section, cell
from tests.testkit.floods.attacker import KINDS
from tests.testkit.floods.town import FLOODS, Sample, Town
from tests.testkit.measure import MIB, cpu_seconds, median_ratio


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", metavar="KIND", help="silent, or silent:peer; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=256, metavar="MIB")


class Flood(NamedTuple):
    words: str
    quiet: list[Sample]
    under: list[Sample]
    beside: list[Sample]
    share: float
    """Of a core, taken by the attacker."""
    kept_bytes: int
    """How much more memory the victims have after it than before."""

    @property
    def kept_rate(self) -> float:
        return median_ratio([each.rate for each in self.under], [each.rate for each in self.quiet])

    @property
    def against_bystander(self) -> float:
        return median_ratio([each.rate for each in self.under], [each.rate for each in self.beside])

    @property
    def slowest_login_s(self) -> float:
        return max(each.login_s for each in self.under)

    def row(self) -> list[str]:
        quiet, under = ([each.rate for each in samples] for samples in (self.quiet, self.under))
        return [
            self.words, cell(statistics.median(quiet)), cell(statistics.median(under)), cell(self.kept_rate),
            cell(self.against_bystander), cell(statistics.median([each.login_s for each in self.quiet])),
            cell(self.slowest_login_s), cell(self.share), cell(self.kept_bytes / MIB),
        ]  # fmt: skip


def measure(options: argparse.Namespace) -> Section:
    chosen = [flood for flood in FLOODS if _is_chosen(*flood, options.only)]
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as name, ExitStack() as stack:
        town = Town(Path(name), options.size * MIB, stack)
        floods = [_measure(town, kind, at, options.rounds) for kind, at in chosen]
        dead = town.count_dead()
    return Section(
        "floods",
        "Downloads and logins under floods",
        f"One seeder, one leecher, {options.size} MiB, sealed; {options.rounds} rounds of: quiet, flooded, beside a "
        "bystander. A login is a new connection, its handshake and the check of the password. The attacker comes from "
        "addresses of its own; its rates are bounded as the first column says.",
        ["flood", "quiet GB/s", "flooded GB/s", "kept ×", "× bystander", "login quiet s", "slowest flooded s",
         "attacker's cores", "memory kept MiB"],
        [flood.row() for flood in floods],
        [
            Figure("rate kept under the worst flood", 0.7, min(each.kept_rate for each in floods), "×", "at least"),
            Figure("slowest login under any flood", 2.0, max(each.slowest_login_s for each in floods), "s", "at most"),
            Figure("memory kept after any flood", 64, max(each.kept_bytes for each in floods) / MIB, "MiB", "at most"),
            Figure("processes that died", 0, dead, "", "at most"),
        ],
        data={each.words: each._asdict() for each in floods},
    )  # fmt: skip


def _is_chosen(kind: str, at: str, only: list[str] | None) -> bool:
    return not only or kind in only or f"{kind}:{at}" in only


def _measure(town: Town, kind: str, at: str, rounds: int) -> Flood:
    samples: tuple[list[Sample], list[Sample], list[Sample]] = ([], [], [])
    shares: list[float] = []
    before = town.memory_bytes()
    for _ in range(rounds):
        samples[0].append(town.sample())
        with town.attacker(kind, at) as pid:
            began_s, began_cpu_s = time.monotonic(), cpu_seconds([pid])
            samples[1].append(town.sample())
            shares.append((cpu_seconds([pid]) - began_cpu_s) / (time.monotonic() - began_s))
        with town.attacker("bystander", at, min(1.0, shares[-1])):
            samples[2].append(town.sample())
    words = f"{(KINDS[kind].__doc__ or '').strip()}, at the {at}"
    return Flood(words, *samples, statistics.median(shares), town.memory_bytes() - before)

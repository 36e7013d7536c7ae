"""Under floods: what is left of an honest download's rate, and how long an honest login takes.

A tracker, a seeder and a leecher as real processes, and one attacker (tests.testkit.floods.attacker) at a time, on
loopback: it comes from other addresses, and at a bounded rate. In turn each round: quiet, under the flood, and beside a
bystander that takes as much CPU as the attacker took, since all share the machine. The goal is for the flood against
quiet; what the bystander costs says how much of a loss is the attacker's own work and none of the victims'.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.record.report import Figure, Section, cell
from bench.transfers.shoal import Swarm
from tests.testkit.floods.attacker import FILE, GROUP, KINDS, MEMBER, PASSWORD
from tests.testkit.measure import MIB, cpu_seconds, median_ratio, private_bytes, tree, write_random
from tests.testkit.processes import ROOT
from tests.testkit.raw_member import RawMember
from tracker.protocol import requests
from tracker.protocol.addresses import TrackerAddress

AT_PEER = ("silent", "dripping", "handshakes", "greetings", "unread")
AT_TRACKER = ("silent", "dripping", "handshakes", "frames", "passwords", "requests")
FLOODS = [*((kind, "peer") for kind in AT_PEER), *((kind, "tracker") for kind in AT_TRACKER)]
_LOGIN = "visitor"
_SECONDS_MAX = 90
_SETTLED_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", metavar="KIND", help="silent, or silent:peer; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=256, metavar="MIB")


class Sample(NamedTuple):
    """One download and one login."""

    rate: float
    login_s: float


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
        floods = [town.measure(kind, at, options.rounds) for kind, at in chosen]
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


class Town:
    """The honest ones, and what is done to them."""

    def __init__(self, folder: Path, size_bytes: int, stack: ExitStack) -> None:
        self._folder = folder
        self._swarm = swarm = Swarm(folder, 1)
        stack.callback(swarm.close)
        swarm.make_group(GROUP, "sealed", 1)
        swarm.share(write_random(folder / FILE, size_bytes), GROUP, 1)
        host, port = swarm.tracker_info.read_text().split()[:2]
        self._tracker = TrackerAddress(host, int(port))
        self._size_bytes = size_bytes
        for user_id in (MEMBER, _LOGIN):
            account = RawMember(self._tracker, user_id)
            account.enter(PASSWORD)
            if user_id == MEMBER:
                account.tracker.ask(requests.JoinGroup(GROUP))
                swarm.seeders[0].expect(f"accept_request {GROUP} {MEMBER}")
            account.close()
        self._victims = [swarm.tracker_pid, swarm.seeders[0].process.pid, swarm.leecher.process.pid]
        self.sample()  # the first time is like no other
        self._processes = self._pids()

    def measure(self, kind: str, at: str, rounds: int) -> Flood:
        samples: tuple[list[Sample], list[Sample], list[Sample]] = ([], [], [])
        shares: list[float] = []
        before = self.memory_bytes()
        for _ in range(rounds):
            samples[0].append(self.sample())
            with self.attacker(kind, at) as pid:
                began_s, began_cpu_s = time.monotonic(), cpu_seconds([pid])
                samples[1].append(self.sample())
                shares.append((cpu_seconds([pid]) - began_cpu_s) / (time.monotonic() - began_s))
            with self.attacker("bystander", at, min(1.0, shares[-1])):
                samples[2].append(self.sample())
        words = f"{(KINDS[kind].__doc__ or '').strip()}, at the {at}"
        return Flood(words, *samples, statistics.median(shares), self.memory_bytes() - before)

    def count_dead(self) -> int:
        return len(self._processes - self._pids())

    def sample(self) -> Sample:
        began_s = time.monotonic()
        visitor = RawMember(self._tracker, _LOGIN)
        visitor.enter(PASSWORD, is_new=False)
        login_s = time.monotonic() - began_s
        visitor.close()
        with tempfile.TemporaryDirectory(dir=self._folder) as target:
            began_s = time.monotonic()
            self._swarm.download(f"download_file {GROUP} {FILE} '{target}'")
            took_s = time.monotonic() - began_s
            self._swarm.leecher.expect(f"stop_share {GROUP} {FILE}")
        self._swarm.renew_leecher()
        return Sample(self._size_bytes / took_s / 1e9, login_s)

    @contextlib.contextmanager
    def attacker(self, kind: str, at: str, share: float = 0.0) -> Iterator[int]:
        """Its process id; the flood stands. `share` of a core is for a bystander."""
        ports = {"tracker": self._tracker.port, "peer": self._swarm.seeder_ports[0]}
        words = [kind, *ports.values(), ports[at], share, _SECONDS_MAX]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.testkit.floods.attacker", *map(str, words)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            try:
                assert process.stdout is not None
                if process.stdout.readline() != "ready\n":
                    raise RuntimeError(f"the attacker {kind} failed")
                time.sleep(_SETTLED_S)
                yield process.pid
            finally:
                process.kill()

    def memory_bytes(self) -> int:
        return sum(map(private_bytes, self._victims))

    def _pids(self) -> set[int]:
        return {each.pid for pid in self._victims for each in tree(pid)}

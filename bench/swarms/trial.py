"""One shape of a swarm over shaped links, tried out: Shoal and libtorrent by turns, then Shoal with faults.

With faults means: one leecher at a tenth of the rate; an origin that is killed when every piece is out once; a seeder
that goes silent while the last pieces are under way.
Not for: figures and goals (shaped_links), what happens in one course (course).
"""

import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.swarms.contestants import ORIGIN, ShoalSwarm, TorrentSwarm, is_libtorrent_here
from bench.swarms.course import Course
from bench.swarms.goodput import Goodput, measure_goodput
from engine.swarm.geometry import Geometry
from tests.testkit.measure import MIB, write_random
from tests.testkit.namespaces import Network

SILENT_FROM = 0.97
"""The share of the file that has come when the seeder goes silent."""
_TENTH = 0.1


@dataclass(frozen=True, slots=True)
class Shape:
    """1 → `leechers`, everybody with the same link; `goal`: slowest / bound."""

    leechers: int
    rate_mbit: float
    size_mib: int
    goal: float
    with_faults: bool = False

    @property
    def title(self) -> str:
        return f"1 → {self.leechers}, {self.rate_mbit:g} Mbit/s each, {self.size_mib} MiB"


@dataclass(slots=True)
class Trial:
    """What was seen of one shape; courses in the order they ran."""

    shape: Shape
    goodput: Goodput
    bound_s: float
    shoal: list[Course] = field(default_factory=list)
    torrent: list[Course] = field(default_factory=list)
    slow: list[Course] = field(default_factory=list)
    orphaned: Course | None = None
    silent: Course | None = None

    def ratio(self, courses: Sequence[Course]) -> float | None:
        """Median of slowest / bound."""
        return statistics.median(course.slowest_s / self.bound_s for course in courses) if courses else None

    @property
    def all_of_shoal(self) -> list[Course]:
        return [*self.shoal, *self.slow, *(each for each in (self.orphaned, self.silent) if each is not None)]


def try_out(shape: Shape, rounds: int, folder: Path | None) -> Trial:
    hosts = shape.leechers + 2
    with ExitStack() as stack:
        here = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=folder)))
        network = stack.enter_context(Network([None] + [shape.rate_mbit] * (hosts - 1)))
        source = write_random(here / "file.bin", shape.size_mib * MIB)
        piece_count = Geometry.of_size(shape.size_mib * MIB).piece_count
        goodput = measure_goodput(network, ORIGIN, ORIGIN + 1, int(shape.rate_mbit * 1e6 / 8 * 4))
        bound_s = shape.size_mib * MIB / goodput.bytes_per_s * (1 + math.log2(shape.leechers + 1) / piece_count)
        trial = Trial(shape, goodput, bound_s)
        swarm = ShoalSwarm(network, shape.leechers, source, here, piece_count)
        stack.callback(swarm.close)
        rival = TorrentSwarm(network, shape.leechers, source, here) if is_libtorrent_here() else None
        for _ in range(rounds):
            trial.shoal.append(_said(trial, "Shoal", swarm.run()))
            if rival is not None:
                trial.torrent.append(_said(trial, "libtorrent", rival.run()))
            if shape.with_faults:
                trial.slow.append(_said(trial, "one slow", _run_with_slow_leecher(network, swarm, shape.rate_mbit)))
        if shape.with_faults:
            trial.orphaned = _said(trial, "origin killed", _run_with_dying_origin(swarm))
            trial.silent = _said(trial, "gone silent", _run_with_silent_seeder(network, swarm))
        return trial


def _run_with_slow_leecher(network: Network, swarm: ShoalSwarm, rate_mbit: float) -> Course:
    """The slow one is not waited for, but then it may finish at the full rate."""
    *others, slow = swarm.leechers
    network.shape(slow.host, rate_mbit * _TENTH)
    course = swarm.fetch(swarm.leechers, needed=others)
    network.shape(slow.host, rate_mbit)
    swarm.wait_complete(slow)
    swarm.forget(swarm.leechers)
    return course


def _run_with_dying_origin(swarm: ShoalSwarm) -> Course:
    def kill(course: Course) -> None:
        if course.is_all_out and swarm.origin.is_alive:
            swarm.origin.kill()

    return swarm.fetch(swarm.leechers, look=kill)


def _run_with_silent_seeder(network: Network, swarm: ShoalSwarm) -> Course:
    """All but one are complete. The seeder that has brought something last is cut off near the end."""
    victim, *_, leecher = swarm.leechers
    swarm.forget([leecher])
    cut: list[int] = []

    def cut_off(course: Course) -> None:
        if not cut and course.bytes_of(leecher.host) >= SILENT_FROM * course.size_bytes:
            network.cut(victim.host)
            cut.append(victim.host)

    course = swarm.fetch([leecher], look=cut_off)
    network.mend(victim.host)
    return course


def _said(trial: Trial, who: str, course: Course) -> Course:
    what = f"{course.slowest_s:6.2f} s, {course.slowest_s / trial.bound_s:.3f} × bound"
    print(f"  {trial.shape.title:36} {who:14} {what}", file=sys.stderr, flush=True)
    return course

"""A leecher that loses one of its workers in the middle of a download: how much longer that takes."""

import argparse
import statistics
import threading
import time
from pathlib import Path

from bench.record.report import Figure, Section
from tests.testkit.measure import MIB, write_random
from tests.testkit.processes import workers_of
from tests.testkit.swarm import Swarm


def measure(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    seconds = _lose_worker(folder, options.size * MIB, options.rounds)
    usual, killed = [statistics.median(seconds[kind]) for kind in ("undisturbed", "worker killed")]
    section.figures.append(
        Figure("extra time when a worker is killed, 4 seeders", 1.5, max(0.0, killed - usual), "s", "at most",
               f"{options.size} MiB: {usual:.2f} s undisturbed, {killed:.2f} s, medians of {options.rounds}")
    )  # fmt: skip
    section.data["lost_worker_s"] = seconds


def _lose_worker(folder: Path, size_bytes: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of whole downloads from four seeders, undisturbed and with a worker of the leecher killed midway."""
    swarm = Swarm(folder, 4)
    try:
        source = write_random(folder / "file.bin", size_bytes)
        swarm.make_group("lab", "open", 4)
        swarm.share(source, "lab", 4)
        (folder / "target").mkdir()
        seconds: dict[str, list[float]] = {"undisturbed": [], "worker killed": []}
        usual_s = _fetch(swarm, source, folder / "target", None)
        for _ in range(rounds):
            for kind, killed_after_s in (("undisturbed", None), ("worker killed", usual_s / 2)):
                taken_s = _fetch(swarm, source, folder / "target", killed_after_s)
                seconds[kind].append(taken_s)
                usual_s = taken_s if killed_after_s is None else usual_s
        return seconds
    finally:
        swarm.close()


def _fetch(swarm: Swarm, source: Path, target: Path, kill_after_s: float | None) -> float:
    killed: list[int] = []

    def kill() -> None:
        worker = workers_of(swarm.leecher.process.pid)[0]
        worker.kill()
        killed.append(worker.pid)

    timer = threading.Timer(kill_after_s or 0, kill)
    begun_s = time.perf_counter()
    if kill_after_s is not None:
        timer.start()
    swarm.download(f"download_file lab {source.name} '{target}'")
    seconds = time.perf_counter() - begun_s
    if kill_after_s is not None:
        timer.join()
        if not killed:
            raise AssertionError("no worker was killed")
    swarm.leecher.expect(f"stop_share lab {source.name}")
    swarm.renew_leecher()
    (target / source.name).unlink()
    return seconds

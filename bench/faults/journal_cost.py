"""What the journal and its checkpoints cost a download, in seconds and in CPU."""

import argparse
import shutil
import statistics
from pathlib import Path

from bench.record.report import Figure, Section
from bench.transfers.api_leecher import ApiLeecher
from tests.testkit.measure import MIB, confidence_of_median, warm_memory, write_random
from tests.testkit.swarm import PASSWORD, Swarm

_SIZE_MIB_MAX = 1024


def measure(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    size_mib = min(options.size, _SIZE_MIB_MAX)  # a second or two: there is a checkpoint each second
    found = _compare(folder, size_mib * MIB, options.pairs)
    note = f"{size_mib} MiB, open, 1 → 1, {options.pairs} pairs"
    for what, name, goal in (("seconds", "cost of journal and checkpoints", 5.0), ("cpu_s", "the same in CPU", None)):
        pairs = zip(found["journal"][what], found["no journal"][what], strict=True)
        costs = sorted((on / off - 1) * 100 for on, off in pairs)
        low, high, confidence = confidence_of_median(costs)
        spread = f"{note}; {low:.1f} to {high:.1f} % with {confidence:.0%} confidence"
        section.figures.append(Figure(name, goal, statistics.median(costs), "%", "at most", spread))
    section.data["journal"] = found


def _compare(folder: Path, size_bytes: int, pairs: int) -> dict[str, dict[str, list[float]]]:
    """Seconds and CPU seconds of whole downloads through the API, with checkpoints and without; both end with the last
    sync. Two leechers stay started and take turns; which of them is first in its pair alternates.
    """
    swarm = Swarm(folder, 1)
    try:
        source = write_random(folder / "file.bin", size_bytes)
        swarm.make_group("lab", "open", 1)
        swarm.share(source, "lab", 1)
        without = {"checkpoint_interval_s": 1e9, "checkpoint_bytes": 1 << 60}
        leechers = {
            "journal": ApiLeecher(swarm.tracker_info, swarm.leave_leecher(), "leecher", PASSWORD),
            "no journal": ApiLeecher(swarm.tracker_info, folder / "other", "leecher", PASSWORD, without),
        }
        found: dict[str, dict[str, list[float]]] = {kind: {"seconds": [], "cpu_s": []} for kind in leechers}
        for number in range(pairs + 1):
            for kind in sorted(leechers, reverse=number % 2 == 0):
                report = _fetch_with(leechers[kind], source.name, folder / "out", size_bytes)
                if number:  # the first pair warms up
                    for what, value in report.items():
                        found[kind][what].append(value)
        for leecher in leechers.values():
            leecher.close()
        return found
    finally:
        swarm.close()


def _fetch_with(leecher: ApiLeecher, name: str, target: Path, size_bytes: int) -> dict[str, float]:
    target.mkdir()
    try:
        warm_memory(target, size_bytes)
        return leecher.fetch("lab", [name], target)
    finally:
        shutil.rmtree(target)

"""A machine that sleeps in the middle of a download, with the leecher on it or with the only seeder."""

import argparse
import filecmp
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.faults.background import begin_in_background, has_come, is_over, shown, wait_shown
from bench.record.report import Figure, Section
from tests.testkit.measure import MIB, tree
from tests.testkit.processes import ShellProcess
from tests.testkit.swarm import PASSWORD, Swarm

_IN_SOCKETS_BYTES = 64 * MIB
"""More than can have waited in sockets when the sleep began."""


def measure(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    found = _sleep(folder, 2 * options.size * MIB, options.sleep)
    for who in ("leecher", "seeder"):
        value = found[f"{who}_s"] if found["is_right"] else float("inf")
        title = f"until bytes come again after the {who} slept"
        note = f"stopped whole for {options.sleep:g} s in the middle of a download; the file was right"
        section.figures.append(Figure(title, None, value, "s", "at most", note))
    section.data["slept"] = found


def _sleep(folder: Path, size_bytes: int, sleep_s: float) -> dict[str, Any]:
    """A leecher and then its only seeder are stopped whole in the middle of a download, for longer than every timeout,
    as by a machine that sleeps. Seconds from waking until more came than waited in sockets, and what was said.
    """
    swarm = Swarm(folder, 1)
    try:
        source, target = folder / "large.bin", folder / "target"
        with source.open("wb") as file:
            file.truncate(size_bytes)
        target.mkdir()
        swarm.make_group("lab", "sealed", 1)
        swarm.share(source, "lab", 1)
        begin_in_background(swarm, source, target)
        swarm.seeders[0].expect(f"login seeder0 {PASSWORD}")
        found: dict[str, Any] = {}
        for who, share in (("leecher", 0.2), ("seeder", 0.5)):
            least_bytes = int(share * size_bytes)
            reached = wait_shown(swarm.leecher, has_come(least_bytes))["verified_bytes"]
            sleeper = swarm.leecher if who == "leecher" else swarm.seeders[0]
            with _asleep(sleeper):
                time.sleep(sleep_s)
                if who == "seeder":
                    reached = shown(swarm.leecher)["verified_bytes"]
            woken_s = time.monotonic()
            wait_shown(swarm.leecher, has_come(reached + _IN_SOCKETS_BYTES))
            found[f"{who}_s"] = time.monotonic() - woken_s
        final = wait_shown(swarm.leecher, is_over)
        is_right = final["state"] == "complete" and filecmp.cmp(source, target / source.name, shallow=False)
        clients = (swarm.leecher, swarm.seeders[0])
        heard = [notice["message"] for client in clients for notice in client.notices]
        return {**found, "is_right": is_right, "heard": heard}
    finally:
        swarm.close()


@contextmanager
def _asleep(client: ShellProcess) -> Iterator[None]:
    family = tree(client.process.pid)
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()

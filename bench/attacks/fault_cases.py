"""Single faults with a clock: a large download resumed, a worker lost, a disk that fills up, a long sleep, the journal.

Not for: many faults at random (fault_kills).
"""

import filecmp
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.attacks.fault_kills import count_good_bytes, part_of, workers_of
from bench.transfers.api_leecher import ApiLeecher
from tests.testkit.limited_disk import limited_disk
from tests.testkit.measure import MIB, tree, warm_memory, write_random
from tests.testkit.processes import ShellProcess
from tests.testkit.swarm import PASSWORD, Swarm

_POLL_S = 0.01
_PATIENCE_S = 600.0
_IN_SOCKETS_BYTES = 64 * MIB


class Resumed:
    """A download that was ended in its middle, started again by a login."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder, self._size_bytes = folder, size_bytes
        self._swarm = Swarm(folder, 1)
        self._swarm.make_group("lab", "open", 1)
        self._source = folder / "large.bin"
        with self._source.open("wb") as file:
            file.truncate(size_bytes)  # holes are read as zeros, and arrive as bytes like any others
        self._swarm.share(self._source, "lab", 1)
        (folder / "target").mkdir()

    def close(self) -> None:
        self._swarm.close()

    def measure(self, with_signal: int, share: float) -> dict[str, float]:
        """Ends the leecher when so much has arrived. Seconds from the login to its answer and to the first new byte,
        and bytes that were read again.
        """
        swarm = self._swarm
        if not _shown(swarm.leecher):
            swarm.leecher.send(f"download_file lab {self._source.name} '{self._folder / 'target'}'")
            self._wait_progress(share)
        else:
            _wait_shown(swarm.leecher, _has_come(int(share * self._size_bytes)))
        swarm.leecher.stop(with_signal)
        swarm.leecher = swarm.start_leecher()
        swarm.leecher.expect("help")
        begun_s = time.monotonic()
        swarm.leecher.expect(f"login leecher {PASSWORD}")
        login_s = time.monotonic() - begun_s
        first = _wait_shown(swarm.leecher, lambda status: bool(status["bytes_by_peer"]))
        return {
            "login_s": login_s,
            "first_byte_s": time.monotonic() - begun_s,
            "checked_bytes": first["checked_bytes"],
            "verified_bytes": first["verified_bytes"],
        }

    def _wait_progress(self, share: float) -> None:
        """Progress lines come once a second while the command runs."""
        self._swarm.leecher.wait_progress(share * self._size_bytes, _PATIENCE_S)


def lost_worker(folder: Path, size_bytes: int, rounds: int) -> dict[str, list[float]]:
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


def filled_disk(folder: Path, size_bytes: int, pause_s: float) -> dict[str, Any]:
    """A download onto a disk that is full after a third of it, and has room again a while later. Raises OSError.

    What is fetched again is counted from what was good on the disk when it began to wait: pieces that were written
    just before the news of them came are found there, and are credited to nobody.
    """
    room_bytes = 80 * MIB
    with limited_disk(folder, size_bytes + room_bytes + 48 * MIB) as disk:
        swarm = Swarm(folder, 1)
        try:
            source = write_random(folder / "file.bin", size_bytes)
            swarm.make_group("lab", "open", 1)
            swarm.share(source, "lab", 1)
            _begin_in_background(swarm, source, disk)
            space = os.statvfs(disk)
            filler = disk / "filler"
            with filler.open("wb") as file:
                file.write(bytes(max(0, space.f_bavail * space.f_frsize - size_bytes // 3)))
            swarm.seeders[0].expect(f"login seeder0 {PASSWORD}")
            said = swarm.leecher.wait_notice("no_space", 60)["message"]
            good_bytes = count_good_bytes(part_of(disk / source.name), source)
            before = _shown(swarm.leecher)
            time.sleep(pause_s)
            filler.unlink()
            freed_s = time.monotonic()
            after = _wait_shown(swarm.leecher, _is_over)
            seconds = time.monotonic() - freed_s
            fetched_bytes = sum(after["bytes_by_peer"].values()) - sum(before["bytes_by_peer"].values())
            is_complete = after["state"] == "complete"
            return {
                "is_complete": is_complete and (disk / source.name).read_bytes() == source.read_bytes(),
                "seconds_after": seconds,
                "good_bytes": good_bytes,
                "fetched_again_bytes": good_bytes + fetched_bytes - size_bytes,
                "said": said,
            }
        finally:
            swarm.close()


def slept(folder: Path, size_bytes: int, sleep_s: float) -> dict[str, Any]:
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
        _begin_in_background(swarm, source, target)
        swarm.seeders[0].expect(f"login seeder0 {PASSWORD}")
        found: dict[str, Any] = {}
        for who, share in (("leecher", 0.2), ("seeder", 0.5)):
            least_bytes = int(share * size_bytes)
            reached = _wait_shown(swarm.leecher, _has_come(least_bytes))["verified_bytes"]
            sleeper = swarm.leecher if who == "leecher" else swarm.seeders[0]
            with _asleep(sleeper):
                time.sleep(sleep_s)
                if who == "seeder":
                    reached = _shown(swarm.leecher)["verified_bytes"]
            woken_s = time.monotonic()
            _wait_shown(swarm.leecher, _has_come(reached + _IN_SOCKETS_BYTES))
            found[f"{who}_s"] = time.monotonic() - woken_s
        final = _wait_shown(swarm.leecher, _is_over)
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


def journal_cost(folder: Path, size_bytes: int, pairs: int) -> dict[str, dict[str, list[float]]]:
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


# ---------------------------------------------------------------- asking a leecher


def _begin_in_background(swarm: Swarm, source: Path, target: Path) -> None:
    """The leecher waits for the file, logged in, and reads further commands; no seeder is logged in."""
    swarm.seeders[0].expect("logout")
    swarm.leecher.send(f"download_file lab {source.name} '{target}'")
    swarm.leecher.wait_notice("download_waiting")
    swarm.leecher.stop()  # a login goes on with it, and leaves the line free
    swarm.leecher = swarm.start_leecher()
    swarm.leecher.expect(f"login leecher {PASSWORD}")


def _has_come(least_bytes: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: bool(status["verified_bytes"] >= least_bytes)


def _is_over(status: dict[str, Any]) -> bool:
    return status["state"] in ("complete", "failed")


def _shown(leecher: ShellProcess) -> dict[str, Any]:
    """Its one download; {} while it has none."""
    return next(iter(leecher.expect("show_downloads")["downloads"]), {})


def _wait_shown(leecher: ShellProcess, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        status = _shown(leecher)
        if status and is_there(status):
            return status
        if not status or _is_over(status):
            raise RuntimeError(f"the download is over: {status}")
        time.sleep(_POLL_S)
    raise TimeoutError("the download does not get on")

"""Single faults with a clock: resuming a large download, a worker lost on the way, a disk that fills up, the journal.

Not for: many faults at random (fault_kills).
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.fault_kills import workers_of
from bench.measure import MIB, write_random
from bench.processes import ROOT
from bench.shoal import PASSWORD, Swarm

_POLL_S = 0.01
_PATIENCE_S = 600.0


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
        shown = self._shown()
        if shown is None:
            swarm.leecher.send(f"download_file lab {self._source.name} '{self._folder / 'target'}'")
            self._wait_progress(share)
        else:
            self._wait(lambda status: status["verified_bytes"] >= share * self._size_bytes)
        swarm.leecher.stop(with_signal)
        swarm.leecher = swarm.start_leecher()
        swarm.leecher.expect("help")
        begun_s = time.monotonic()
        swarm.leecher.expect(f"login leecher {PASSWORD}")
        login_s = time.monotonic() - begun_s
        first = self._wait(lambda status: bool(status["bytes_by_peer"]))
        return {
            "login_s": login_s,
            "first_byte_s": time.monotonic() - begun_s,
            "checked_bytes": first["checked_bytes"],
            "verified_bytes": first["verified_bytes"],
        }

    def _shown(self) -> dict[str, Any] | None:
        shown = self._swarm.leecher.expect("show_downloads")["downloads"]
        return next(iter(shown), None)

    def _wait(self, is_there: Any) -> dict[str, Any]:
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            status = self._shown()
            if status is not None and is_there(status):
                return status
            if status is None or status["state"] in ("complete", "failed"):
                raise RuntimeError(f"the download is over: {status}")
            time.sleep(_POLL_S)
        raise TimeoutError("the download does not get on")

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


@contextmanager
def limited_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of that size which cannot reserve space (ext2 in a file); needs root. Raises OSError."""
    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    try:
        make = ["mkfs.ext2", "-q", "-F", "-m", "0", str(image)]
        for command in (make, ["mount", "-o", "loop", str(image), str(mount)]):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OSError(f"no limited file system can be made here: {error}") from error
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)


def filled_disk(folder: Path, size_bytes: int, pause_s: float) -> dict[str, Any]:
    """A download onto a disk that is full after a third of it, and has room again a while later. Raises OSError."""
    room_bytes = 80 * MIB
    with limited_disk(folder, size_bytes + room_bytes + 48 * MIB) as disk:
        swarm = Swarm(folder, 1)
        try:
            source = write_random(folder / "file.bin", size_bytes)
            swarm.make_group("lab", "open", 1)
            swarm.share(source, "lab", 1)
            swarm.seeders[0].expect("logout")
            swarm.leecher.send(f"download_file lab {source.name} '{disk}'")
            swarm.leecher.wait_notice("download_waiting")
            space = os.statvfs(disk)
            filler = disk / "filler"
            with filler.open("wb") as file:
                file.write(bytes(max(0, space.f_bavail * space.f_frsize - size_bytes // 3)))
            swarm.seeders[0].expect(f"login seeder0 {PASSWORD}")
            said = swarm.leecher.wait_notice("no_space", 60)["message"]
            time.sleep(pause_s)
            filler.unlink()
            freed_s = time.monotonic()
            final = swarm.leecher.result(120)
            return {
                "is_complete": final["ok"] and (disk / source.name).read_bytes() == source.read_bytes(),
                "seconds_after": time.monotonic() - freed_s,
                "fetched_again_bytes": sum(final.get("bytes_by_peer", {}).values()) - size_bytes,
                "said": said,
            }
        finally:
            swarm.close()


def journal_cost(folder: Path, size_bytes: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of whole downloads through the API, with checkpoints and without; both end with the last sync."""
    swarm = Swarm(folder, 1)
    try:
        source = write_random(folder / "file.bin", size_bytes)
        swarm.make_group("lab", "open", 1)
        swarm.share(source, "lab", 1)
        state = swarm.leave_leecher()
        seconds: dict[str, list[float]] = {"journal": [], "no journal": []}
        without = {"checkpoint_interval_s": 1e9, "checkpoint_bytes": 1 << 60}
        for number in range(rounds + 1):
            for kind, settings in (("journal", {}), ("no journal", without)):
                target = folder / "out"
                target.mkdir()
                taken_s = _fetch_with(swarm, state, source.name, target, settings)
                (target / source.name).unlink()
                target.rmdir()
                if number:  # the first round warms up
                    seconds[kind].append(taken_s)
        return seconds
    finally:
        swarm.close()


def _fetch_with(swarm: Swarm, state: Path, name: str, target: Path, settings: dict[str, float]) -> float:
    order = {
        "tracker_info": str(swarm.tracker_info), "state": str(state), "user_id": "leecher", "password": PASSWORD,
        "group_id": "lab", "names": [name], "folder": str(target), "at_a_time": 1, "settings": settings,
    }  # fmt: skip
    command = [sys.executable, "-m", "bench.small_leecher"]
    result = subprocess.run(command, cwd=ROOT, input=json.dumps(order), stdout=subprocess.PIPE, text=True, check=True)
    report: dict[str, float] = json.loads(result.stdout)
    return report["seconds"]

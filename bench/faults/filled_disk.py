"""A disk that is full in the middle of a download, and has room again a while later. Needs root, for the disk."""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from bench.faults.background import begin_in_background, is_over, shown, wait_shown
from bench.faults.part_file import count_good_bytes, part_of
from bench.record.report import Figure, Section
from tests.testkit.limited_disk import limited_disk
from tests.testkit.measure import MIB, write_random
from tests.testkit.swarm import PASSWORD, Swarm


def measure(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    title = "fetched twice when the disk filled up midway"
    try:
        found = _fill_disk(folder, 256 * MIB, 10.0)
    except OSError as error:
        section.figures.append(Figure(title, 2.0, None, "MiB", "at most", str(error)))
        return
    section.rows.append(["a disk that was full", f"“{found['said']}”"])
    again = found["fetched_again_bytes"] / MIB if found["is_complete"] else float("inf")
    note = (
        f"of {found['good_bytes'] / MIB:.0f} MiB that were good when it began to wait; ext2; space came 10 s later, "
        f"complete {found['seconds_after']:.1f} s after that"
    )
    section.figures.append(Figure(title, 2.0, again, "MiB", "at most", note))
    section.data["filled_disk"] = found


def _fill_disk(folder: Path, size_bytes: int, pause_s: float) -> dict[str, Any]:
    """A download onto a disk that is full after a third of it, and has room again a while later. Raises OSError.

    Bytes fetched again are counted from what was good on the disk when the download began to wait. A piece that was
    written just before its report arrived is among them: the client finds it there, and credits it to no peer.
    """
    room_bytes = 80 * MIB
    with limited_disk(folder, size_bytes + room_bytes + 48 * MIB) as disk:
        swarm = Swarm(folder, 1)
        try:
            source = write_random(folder / "file.bin", size_bytes)
            swarm.make_group("lab", "open", 1)
            swarm.share(source, "lab", 1)
            begin_in_background(swarm, source, disk)
            space = os.statvfs(disk)
            filler = disk / "filler"
            with filler.open("wb") as file:
                file.write(bytes(max(0, space.f_bavail * space.f_frsize - size_bytes // 3)))
            swarm.seeders[0].expect(f"login seeder0 {PASSWORD}")
            said = swarm.leecher.wait_notice("no_space", 60)["message"]
            good_bytes = count_good_bytes(part_of(disk / source.name), source)
            before = shown(swarm.leecher)
            time.sleep(pause_s)
            filler.unlink()
            freed_s = time.monotonic()
            after = wait_shown(swarm.leecher, is_over)
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

"""A large download that is ended in its middle, by a clean stop and by kill -9, and goes on after a login."""

import argparse
import signal
import time
from pathlib import Path

from bench.faults.background import PATIENCE_S, has_come, shown, wait_shown
from bench.record.report import Figure, Section
from tests.testkit.measure import MIB
from tests.testkit.swarm import PASSWORD, Swarm

_GIB = 1 << 30


def measure(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    size_bytes = int(options.resume_gib * _GIB)
    case = _Resumed(folder, size_bytes)
    try:
        clean = case.measure(signal.SIGTERM, 0.5)
        crash = case.measure(signal.SIGKILL, 0.6)
    finally:
        case.close()
    for kind, found in (("clean stop", clean), ("kill -9", crash)):
        read_again = f"{found['checked_bytes'] / MIB:.0f} MiB read again"
        what = f"first new byte after a {kind} at {options.resume_gib:g} GiB"
        section.rows.append([what, f"{found['first_byte_s']:.2f} s after the login began; {read_again}"])
    title = "to the first new byte of a half-complete download after a clean stop"
    section.figures.append(
        Figure(title, 2.0, clean["first_byte_s"], "s", "at most", f"{options.resume_gib:g} GiB, login included")
    )
    section.figures.append(
        Figure("the same after kill -9", 2.0 + crash["checked_bytes"] / _GIB, crash["first_byte_s"], "s", "at most",
               "2 s and a second for each GiB that was not in the journal")
    )  # fmt: skip
    section.data |= {"resume_clean": clean, "resume_crash": crash}


class _Resumed:
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
        """Ends the leecher when this share of the file has arrived, and starts it again. Seconds from the login to its
        answer and to the first new byte, and the bytes that were read again.
        """
        swarm = self._swarm
        if not shown(swarm.leecher):
            swarm.leecher.send(f"download_file lab {self._source.name} '{self._folder / 'target'}'")
            self._wait_progress(share)
        else:
            wait_shown(swarm.leecher, has_come(int(share * self._size_bytes)))
        swarm.leecher.stop(with_signal)
        swarm.leecher = swarm.start_leecher()
        swarm.leecher.expect("help")
        begun_s = time.monotonic()
        swarm.leecher.expect(f"login leecher {PASSWORD}")
        login_s = time.monotonic() - begun_s
        first = wait_shown(swarm.leecher, lambda status: bool(status["bytes_by_peer"]))
        return {
            "login_s": login_s,
            "first_byte_s": time.monotonic() - begun_s,
            "checked_bytes": first["checked_bytes"],
            "verified_bytes": first["verified_bytes"],
        }

    def _wait_progress(self, share: float) -> None:
        """Progress lines come once a second while the command runs."""
        self._swarm.leecher.wait_progress(share * self._size_bytes, PATIENCE_S)

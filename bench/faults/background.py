"""A download that a leecher has in the background, so that it can be asked meanwhile how much has come.

Not for: the faults that happen during it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.testkit.processes import ShellProcess
from tests.testkit.swarm import PASSWORD, Swarm

PATIENCE_S = 600.0
_POLL_S = 0.01


def begin_in_background(swarm: Swarm, source: Path, target: Path) -> None:
    """The leecher waits for the file, logged in, and reads further commands; no seeder is logged in."""
    swarm.seeders[0].expect("logout")
    swarm.leecher.send(f"download_file lab {source.name} '{target}'")
    swarm.leecher.wait_notice("download_waiting")
    swarm.leecher.stop()  # a login goes on with it, and leaves the line free
    swarm.leecher = swarm.start_leecher()
    swarm.leecher.expect(f"login leecher {PASSWORD}")


def has_come(least_bytes: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: bool(status["verified_bytes"] >= least_bytes)


def is_over(status: dict[str, Any]) -> bool:
    return status["state"] in ("complete", "failed")


def shown(leecher: ShellProcess) -> dict[str, Any]:
    """Its one download; {} while it has none."""
    return next(iter(leecher.expect("show_downloads")["downloads"]), {})


def wait_shown(leecher: ShellProcess, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        status = shown(leecher)
        if status and is_there(status):
            return status
        if not status or is_over(status):
            raise RuntimeError(f"the download is over: {status}")
        time.sleep(_POLL_S)
    raise TimeoutError("the download does not get on")

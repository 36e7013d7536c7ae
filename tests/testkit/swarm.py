"""A tracker, seeders and a leecher in one folder, each a process that runs the program users run.

The leecher logs out and in again between transfers, so that no link lasts until the next. Not for: several hosts
(namespaces), or peers that break the protocol (raw_member).
"""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.testkit.processes import ShellProcess, TrackerProcess, free_ports, write_tracker_info

CHANNELS = ("sealed", "open")
TRANSFER_TIMEOUT_S = 600.0
PASSWORD = "bench-password"


class Swarm:
    """A tracker and clients in one folder. Users are called seeder0 …, leecher."""

    def __init__(self, folder: Path, seeders: int) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self.tracker_info = write_tracker_info(folder)
        self._ports = free_ports(seeders + 1)
        tracker = TrackerProcess(self.tracker_info, 1, folder / "tracker")
        self._stack.callback(tracker.stop)
        self.tracker_pid = tracker.process.pid
        try:
            self.seeders = [self._join(f"seeder{number}", port) for number, port in enumerate(self._ports[1:])]
            self.leecher = self._join("leecher", self._ports[0])
        except BaseException:
            self._stack.close()
            raise

    @property
    def seeder_ports(self) -> list[int]:
        return self._ports[1:]

    def start_leecher(self) -> ShellProcess:
        """A new process with the leecher's state, after the last one was ended; logged out."""
        return self._start("leecher", self._ports[0])

    def _start(self, user_id: str, port: int) -> ShellProcess:
        shell = ShellProcess(self.tracker_info, port, self._folder / user_id, errors=subprocess.DEVNULL)
        self._stack.callback(_end, shell)
        return shell

    def _join(self, user_id: str, port: int) -> ShellProcess:
        shell = self._start(user_id, port)
        shell.expect(f"create_user {user_id} {PASSWORD}")
        shell.expect(f"login {user_id} {PASSWORD}")
        return shell

    def make_group(self, group_id: str, channel: str, seeders: int) -> None:
        """Owned by seeder0, with so many seeders and the leecher as members; `channel`: one of CHANNELS."""
        owner = self.seeders[0]
        owner.expect(f"create_group {group_id}" + (" --open" if channel == "open" else ""))
        for number, shell in [*enumerate(self.seeders[:seeders])][1:]:
            shell.expect(f"join_group {group_id}")
            owner.expect(f"accept_request {group_id} seeder{number}")
        self.leecher.expect(f"join_group {group_id}")
        owner.expect(f"accept_request {group_id} leecher")

    def share(self, path: Path, group_id: str, seeders: int) -> list[dict[str, Any]]:
        """Every seeder's report of its upload."""
        return [s.expect(f"upload_file '{path}' {group_id}", TRANSFER_TIMEOUT_S) for s in self.seeders[:seeders]]

    def renew_leecher(self) -> None:
        """Logged out and in again: it has no links, so that every run begins with making them."""
        self.leecher.expect("logout")
        self.leecher.expect(f"login leecher {PASSWORD}")

    def leave_leecher(self) -> Path:
        """End the leecher; returns its state folder, for another program to go on with."""
        self.leecher.stop()
        return self._folder / "leecher"

    def leave_seeder(self) -> Path:
        """The same for the first seeder."""
        self.seeders[0].stop()
        return self._folder / "seeder0"

    def download(self, command: str) -> None:
        """Run it at the leecher; a failure says how far it came."""
        try:
            self.leecher.expect(command, TRANSFER_TIMEOUT_S)
        except TimeoutError as error:
            raise TimeoutError(f"{command}: {self.leecher.progress[-1:]} {self.leecher.notices[-3:]}") from error

    def close(self) -> None:
        self._stack.close()


def _end(shell: ShellProcess) -> None:
    if shell.process.returncode is None:
        shell.stop()

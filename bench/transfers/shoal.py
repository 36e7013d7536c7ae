"""Shoal as a contestant: a tracker, seeders and a leecher, each a process of its own running the program users run.

One swarm serves several contestants that differ in the data channel and the number of seeders; each has its own group.
A fetch is `download_file` from command to result: manifest, tickets, new links with handshakes, every piece verified,
synced to the disk, named and announced. Rivals do not sync; for that there is a second time (bench.contest). The
leecher logs out and in again after each, so no link survives to the next.

Not for: measuring below `Client`; for that see bench.transfers.ceiling and the tests of engine.transfer.
"""

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contest import Missing, Transfer, timed_fetch
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
        """Owned by seeder0, with so many seeders and the leecher as members. Raises Missing."""
        owner = self.seeders[0]
        answer = owner.run(f"create_group {group_id}" + (" --open" if channel == "open" else ""))
        if not answer["ok"]:
            raise Missing(f"this Shoal has no {channel} channel")
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


@dataclass(slots=True)
class SwarmHolder:
    """Starts the swarm when the first contestant needs it; ended by the last."""

    seeders: int
    swarm: Swarm | None = None
    users: int = 0

    def take(self, folder: Path) -> Swarm:
        self.users += 1
        if self.swarm is None:
            self.swarm = Swarm(folder, self.seeders)
        return self.swarm

    def give_back(self) -> None:
        self.users -= 1
        if not self.users and self.swarm is not None:
            self.swarm.close()
            self.swarm = None


class Shoal:
    """A contestant (bench.contest): so many seeders to one leecher over one kind of data channel."""

    has_output = True

    def __init__(self, holder: SwarmHolder, channel: str, seeders: int) -> None:
        self._holder = holder
        self._channel, self._seeders = channel, seeders
        self._group_id = f"{channel}{seeders}"
        self._swarm: Swarm | None = None
        self.name = shoal_name(channel, seeders)
        self.settings = "defaults; time includes the final fsync"

    def start(self, source: Path, folder: Path) -> None:
        self._swarm = self._holder.take(folder)
        self._file_name = source.name
        self._swarm.make_group(self._group_id, self._channel, self._seeders)
        self._swarm.share(source, self._group_id, self._seeders)

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        swarm = self._swarm
        assert swarm is not None
        command = f"download_file {self._group_id} {self._file_name} '{target}'"
        seeders = [shell.process.pid for shell in swarm.seeders[: self._seeders]]
        transfer = timed_fetch(lambda: swarm.download(command), swarm.leecher.process.pid, seeders, is_watched)
        swarm.leecher.expect(f"stop_share {self._group_id} {self._file_name}")
        swarm.renew_leecher()
        return transfer

    def close(self) -> None:
        if self._swarm is not None:
            self._swarm = None
            self._holder.give_back()


def shoal_name(channel: str, seeders: int) -> str:
    return f"Shoal {channel}, {seeders} → 1"

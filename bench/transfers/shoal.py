"""Shoal as a contestant: a tracker, seeders and a leecher, each a process that runs the program users run.

One swarm serves several contestants that differ in the data channel and the number of seeders; each has its own group.
A fetch is `download_file` from command to result: manifest, tickets, new links with handshakes, every piece verified,
synced to the disk, named and announced. Rivals do not sync; for that there is a second time (bench.contest). The
leecher logs out and in again after each fetch, so that no link lasts until the next.

Not for: measuring below `Client`; for that see bench.transfers.ceiling and the tests of engine.worker.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.contest import Transfer, timed_fetch
from tests.testkit.swarm import Swarm


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

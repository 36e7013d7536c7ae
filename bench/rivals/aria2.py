"""aria2 as a BitTorrent client: S seeding processes, one that leeches; peers are named by a tracker in a thread.

Encryption off, no DHT, no local discovery, no peer exchange, `falloc`, no hash check of what is seeded, 64 MiB of disk
cache, no limit on peers; measured from the start of the program to its end, announce included. No sync.
Not for: aria2 over HTTP (bench.rivals.web).
"""

import subprocess
from pathlib import Path

from bench.contest import Transfer
from bench.rivals.command import find, run_measured, version_of
from bench.rivals.daemons import end_server, start_server
from bench.rivals.torrent import TorrentTracker, write_torrent
from tests.testkit.processes import free_ports

_PIECE_BYTES = 1 << 20
_OPTIONS = (
    "--no-conf", "-q", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
    "--enable-peer-exchange=false", "--bt-max-peers=0", "--bt-request-peer-speed-limit=10000M",
    "--file-allocation=falloc", "--disk-cache=64M", "--bt-require-crypto=false", "--bt-min-crypto-level=plain",
    "--disable-ipv6=true",
)  # fmt: skip


class Aria2Torrent:
    """S → 1, plaintext."""

    has_output = True

    def __init__(self, seeders: int) -> None:
        self._seeders = seeders
        self._seeds: list[subprocess.Popen[bytes]] = []
        self._tracker: TorrentTracker | None = None
        self.name = f"aria2 BitTorrent, {seeders} → 1"
        self.settings = ""

    def start(self, source: Path, folder: Path) -> None:
        self._program = find("aria2c")
        version = " ".join(version_of(self._program, "--version").split()[:3])
        self.settings = f"{version}; plaintext, pieces of {_PIECE_BYTES >> 20} MiB, falloc, disk cache 64 MiB, no sync"
        ports = free_ports(self._seeders)
        self._tracker = TorrentTracker(ports)
        self._torrent = write_torrent(source, folder, _PIECE_BYTES, self._tracker.address)
        for port in ports:
            command = [
                self._program, *_OPTIONS, "-d", str(source.parent), "--seed-ratio=0", "--bt-seed-unverified=true",
                f"--listen-port={port}", str(self._torrent),
            ]  # fmt: skip
            self._seeds.append(start_server(command, port))

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        command = [
            self._program, *_OPTIONS, "-d", str(target), "--seed-time=0", f"--listen-port={free_ports(1)[0]}",
            str(self._torrent),
        ]  # fmt: skip
        return run_measured(command, [seed.pid for seed in self._seeds], is_watched)

    def close(self) -> None:
        for seed in self._seeds:
            end_server(seed)
        if self._tracker is not None:
            self._tracker.close()

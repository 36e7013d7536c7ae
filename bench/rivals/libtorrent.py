"""libtorrent's Python wheel as a contestant: S seeding sessions, and for each fetch a fresh session that leeches.

Measured from `add_torrent` to `is_seeding`; starting the session is not counted, nor is any sync. The settings are in
bench.rivals.libtorrent_process. Not for: libtorrent in encrypted mode, which is slower still.
"""

import subprocess
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from bench.contest import Missing, Transfer
from bench.rivals.torrent import write_torrent
from tests.testkit.measure import cpu_seconds, watching
from tests.testkit.processes import ROOT, free_ports

PIECE_BYTES = 256 << 10
"""Tried: 256 KiB, 1 MiB, 4 MiB; they differ by less than their spread, this one was ahead."""


class Libtorrent:
    """S → 1, plaintext, tuned."""

    has_output = True

    def __init__(self, seeders: int) -> None:
        self._seeders = seeders
        self._seeds: list[subprocess.Popen[str]] = []
        self.name = libtorrent_name(seeders)
        self.settings = ""

    def start(self, source: Path, folder: Path) -> None:
        if find_spec("libtorrent") is None:
            raise Missing("the wheel is not installed: pip install libtorrent")
        self.settings = (
            f"wheel {metadata.version('libtorrent')}, high_performance_seed and more (rivals/libtorrent_process.py), "
            f"plaintext, no uTP, pieces of {PIECE_BYTES >> 10} KiB, no sync"
        )
        self._torrent = write_torrent(source, folder, PIECE_BYTES)
        self._ports = free_ports(self._seeders)
        for port in self._ports:
            self._seeds.append(self._spawn("seed", port, source.parent))
        for each in self._seeds:
            _read(each)

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        seeds = [seed.pid for seed in self._seeds]
        process = self._spawn("fetch", free_ports(1)[0], target, *self._ports)
        _read(process)
        before_s = cpu_seconds(seeds)
        with watching(process.pid, is_watched) as memory:
            started_s = time.perf_counter()
            _write(process, "go\n")
            cpu_s = float(_read(process).split()[1])
            seconds = time.perf_counter() - started_s
        sent_s = cpu_seconds(seeds) - before_s
        _end(process)
        return Transfer(seconds, cpu_s, sent_s, memory.peak_bytes if memory is not None else None)

    def close(self) -> None:
        for each in self._seeds:
            _end(each)

    def _spawn(self, role: str, port: int, folder: Path, *peers: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "bench.rivals.libtorrent_process", role, port, self._torrent, folder, *peers]
        return subprocess.Popen(
            [str(word) for word in command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


def libtorrent_name(seeders: int) -> str:
    return f"libtorrent, {seeders} → 1"


def _read(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"libtorrent's process ended with {process.wait()}")
    return line


def _write(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def _end(process: "subprocess.Popen[str]") -> None:
    process.communicate()

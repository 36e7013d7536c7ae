"""One seeder at the far end of a long path: how much of the path a download fills.

The path is a process that forwards TCP with a rate, a round trip and a queue (tests.testkit.long_path). Whole downloads
are timed, from the command to the result: manifest, handshakes, the opening of the window and the final sync. In turn
with them one plain TCP stream takes as many bytes over the same path. By default the window matters: the pieces that
are in flight in any case would fill less than half of the path. Not for: loss and congestion control, which this path
does not have.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.contest import HEADER, Contestant, Transfer, run_contest, timed_fetch
from bench.record.report import Figure, Section
from tests.testkit.long_path import LongPath, PlainStream
from tests.testkit.measure import MIB, write_random
from tests.testkit.processes import ROOT, free_ports
from tests.testkit.swarm import CHANNELS, PASSWORD, Swarm

_PLAIN = "one plain TCP stream"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=240, metavar="MIB")
    parser.add_argument("--rate", type=float, default=800.0, metavar="MBIT", help="of the path, Mbit/s each way")
    parser.add_argument("--round-trip", type=float, default=50.0, metavar="MS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are put (default: the folder for temporary files)")


def measure(options: argparse.Namespace) -> Section:
    rate, round_trip_s = options.rate * 1e6 / 8, options.round_trip / 1e3
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name, ExitStack() as stack:
        folder = Path(name)
        source = write_random(folder / "file.bin", options.size * MIB)
        stream = stack.enter_context(PlainStream())
        port = free_ports(1)[0]
        path = stack.enter_context(LongPath(rate, round_trip_s, [port, stream.port]))
        swarm = Swarm(folder, 1)
        stack.callback(swarm.close)
        seeder = _move_seeder_away(swarm, source, port, path.ports[0])
        stack.callback(seeder.communicate)
        plain = _Plain(stream, path.ports[1])
        contestants: list[Contestant] = [plain, *(_FarShoal(swarm, seeder.pid, channel) for channel in CHANNELS)]
        outcome = run_contest(contestants, source, folder, options.rounds)
    return Section(
        "distance",
        f"{options.size} MiB over a path of {options.rate:g} Mbit/s and {options.round_trip:g} ms",
        "One seeder, one leecher, a forwarding process between them that delays each way by half the round trip and "
        "holds at most two bandwidth-delay products. Whole downloads, from the command to the synced file.",
        HEADER,
        outcome.rows(),
        [
            Figure(f"{channel}, against {_PLAIN}", 0.85, outcome.ratio(_name(channel), _PLAIN), "×", "at least")
            for channel in CHANNELS
        ],
        outcome.notes(),
        outcome.as_json(),
    )


class _Plain:
    """A contestant: a plain stream of as many bytes as the file has, which are not kept."""

    name = _PLAIN
    settings = "over the same path, no file, no sync"
    has_output = False

    def __init__(self, stream: PlainStream, port: int) -> None:
        self._stream, self._port = stream, port

    def start(self, source: Path, folder: Path) -> None:
        self._size_bytes = source.stat().st_size

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        return Transfer(self._stream.seconds_for(self._size_bytes, self._port))

    def close(self) -> None:
        """The stream belongs to the caller."""


class _FarShoal:
    """A contestant: the leecher of a swarm whose seeder is far away."""

    has_output = True

    def __init__(self, swarm: Swarm, seeder_pid: int, channel: str) -> None:
        self._swarm, self._seeder_pid, self._group_id = swarm, seeder_pid, channel
        self.name = _name(channel)
        self.settings = "defaults; time includes the final fsync"

    def start(self, source: Path, folder: Path) -> None:
        self._file_name = source.name

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        swarm, command = self._swarm, f"download_file {self._group_id} {self._file_name} '{target}'"
        pid = swarm.leecher.process.pid
        transfer = timed_fetch(lambda: swarm.download(command), pid, [self._seeder_pid], is_watched)
        swarm.leecher.expect(f"stop_share {self._group_id} {self._file_name}")
        swarm.renew_leecher()
        return transfer

    def close(self) -> None:
        """The swarm belongs to the caller."""


def _name(channel: str) -> str:
    return f"Shoal {channel}"


def _move_seeder_away(swarm: Swarm, source: Path, port: int, announced_port: int) -> "subprocess.Popen[str]":
    """The swarm's only seeder, in both groups, goes on as a process that is reached over the path."""
    for channel in CHANNELS:
        swarm.make_group(channel, channel, 1)
    order = {
        "tracker_info": str(swarm.tracker_info), "state": str(swarm.leave_seeder()), "user_id": "seeder0",
        "password": PASSWORD, "group_ids": CHANNELS, "path": str(source), "port": port,
        "announced_port": announced_port,
    }  # fmt: skip
    command = [sys.executable, "-m", "bench.transfers.far_seeder"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(f"the far seeder ended with {process.wait()}")
    return process

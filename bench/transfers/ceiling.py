"""What the machine can do at most, against what Shoal does: plain sendfile → recv → pwrite, and a plain TLS pipe.

Not for: comparing with other programs (compare).
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

from bench.contest import HEADER, TWO_TIMES, Contestant, Outcome, Transfer, run_contest
from bench.record.report import Figure, Section
from bench.transfers import pipes
from bench.transfers.certificate import write_certificate
from bench.transfers.shoal import Shoal, SwarmHolder, shoal_name
from bench.transfers.single import add_size_arguments
from tests.testkit.measure import MIB, write_random

_SIDES = 2
_NAMES = {
    "sendfile": "plain sendfile → recv → pwrite",
    "sendfile-hash": "plain sendfile → recv → BLAKE3 → pwrite → fsync",
    "tls-blocking": "plain TLS 1.3 pipe, blocking",
    "tls-asyncio": "plain TLS 1.3 pipe, asyncio",
}


class Pipe:
    """A contestant: two sending and two receiving processes, each pair with one connection and half of the file."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._processes: list[SpawnProcess] = []
        self._receivers: list[Connection] = []
        self._senders: list[Connection] = []
        self.name = _NAMES[kind]
        self.settings = f"{_SIDES} processes a side, {pipes.BLOCK_BYTES >> 10} KiB blocks, no protocol"
        self.settings += ", preallocated file" if kind.startswith("sendfile") else ", no hash, no file"
        self.has_output = kind.startswith("sendfile")

    def start(self, source: Path, folder: Path) -> None:
        self._source = source
        certificate = str(write_certificate(folder))
        context = multiprocessing.get_context("spawn")
        for _ in range(_SIDES):
            receiver = self._spawn(context, pipes.receiver, self._kind, certificate)
            self._receivers.append(receiver)
            self._senders.append(self._spawn(context, pipes.sender, self._kind, receiver.recv()))

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        size_bytes = self._source.stat().st_size
        copy = ""
        started_s = time.perf_counter()
        if self.has_output:
            copy = str(target / self._source.name)
            descriptor = os.open(copy, os.O_RDWR | os.O_CREAT)
            os.posix_fallocate(descriptor, 0, size_bytes)
            os.close(descriptor)
        share = -(-size_bytes // _SIDES)
        for number, (receiver, sender) in enumerate(zip(self._receivers, self._senders, strict=True)):
            offset = number * share
            length = min(share, size_bytes - offset)
            receiver.send((copy, offset, length))
            sender.send((str(self._source), offset, length))
        received = sum(receiver.recv() for receiver in self._receivers)
        seconds = time.perf_counter() - started_s
        return Transfer(seconds, received, sum(sender.recv() for sender in self._senders))

    def close(self) -> None:
        for control in (*self._receivers, *self._senders):
            control.send(None)
        for process in self._processes:
            process.join()

    def _spawn(self, context: SpawnContext, target: object, *arguments: object) -> Connection:
        ours, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs, *arguments), daemon=True)  # type: ignore[arg-type]
        process.start()
        self._processes.append(process)
        return ours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeders", type=int, default=4)
    add_size_arguments(parser)


def measure(options: argparse.Namespace) -> Section:
    holder = SwarmHolder(options.seeders)
    contestants: list[Contestant] = [
        Pipe("tls-blocking"), Shoal(holder, "sealed", options.seeders), Pipe("tls-asyncio"),
        Pipe("sendfile"), Shoal(holder, "open", options.seeders), Pipe("sendfile-hash"),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name:
        source = write_random(Path(name) / "file.bin", options.size * MIB)
        outcome = run_contest(contestants, source, Path(name), options.rounds)
    return Section(
        "ceiling",
        f"Against what the machine can do at most, {options.size} MiB",
        "Two processes a side, as Shoal has on two cores. Of the two TLS pipes the faster one is the "
        f"ceiling. {TWO_TIMES}",
        HEADER,
        outcome.rows(),
        _figures(outcome, options.seeders),
        outcome.notes(),
        outcome.as_json(),
    )


def _figures(outcome: Outcome, seeders: int) -> list[Figure]:
    pipe = max((_NAMES["tls-blocking"], _NAMES["tls-asyncio"]), key=lambda name: outcome.entries[name].rate)
    sealed = outcome.ratio(shoal_name("sealed", seeders), pipe)
    pair = shoal_name("open", seeders), _NAMES["sendfile"]
    durable = pair[0], _NAMES["sendfile-hash"]
    note = outcome.missing.get(shoal_name("open", seeders), "")
    return [
        Figure(f"open against {pair[1]}", 0.8, outcome.ratio(*pair), "×", "at least", note),
        Figure(f"open against {pair[1]}, on disk", None, outcome.durable_ratio(*pair), "×", "at least", note),
        Figure(f"open against {durable[1]}", None, outcome.ratio(*durable), "×", "at least", note),
        Figure("sealed against a plain TLS pipe", 0.85, sealed, "×", "at least", f"the ceiling is: {pipe}"),
    ]

"""Sharing a file: how fast the worker pool hashes it, against BLAKE3 of the same file on one core times the cores.

In turn: one core, in this process, over a map of the file (the quickest plain way, with a warm cache); the pool,
through `Coordinator.hash_file`; `upload_file` of a client that does not know the file (its time stamp was moved, so the
cache of hashes is of no use); and `upload_file` again, which has to find it in the cache. Not for: cold disks.
"""

import argparse
import asyncio
import mmap
import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil
from blake3 import blake3

from bench.record.report import Figure, Section, cell
from bench.transfers.single import add_size_arguments
from engine.coordinator.coordinator import Coordinator
from engine.coordinator.directory import Directory
from engine.settings import Settings
from engine.swarm.geometry import Geometry
from tests.testkit.measure import GB, MIB, median_ratio, write_random
from tests.testkit.swarm import Swarm
from tracker.protocol import tickets

_STEP_BYTES = MIB


class _NoDirectory:
    """The directory of a coordinator that only hashes: it knows no peers."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_size_arguments(parser, 1024)


def measure(options: argparse.Namespace) -> Section:
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name:
        folder = Path(name)
        source = write_random(folder / "file.bin", options.size * MIB)
        samples = asyncio.run(_in_turn(source, folder, options.rounds))
    cores = len(psutil.Process().cpu_affinity() or [0])
    gigabytes = options.size * MIB / GB
    rows = [[what, cell(gigabytes / statistics.median(values))] for what, values in samples.items()]
    again_ms = statistics.median(samples["upload_file again"]) * 1000
    share = median_ratio(samples["one core"], samples["pool"]) / cores
    whole = median_ratio(samples["one core"], samples["upload_file"]) / cores
    return Section(
        "hashing",
        f"Sharing a file of {options.size} MiB",
        f"Warm cache, {cores} cores. The last two lines are whole commands of a client, tracker included.",
        ["what", "GB/s (median)"],
        rows,
        [
            Figure("pool hashing against one-core BLAKE3 × cores", 0.8, share, "×", "at least"),
            Figure("the same for the whole upload_file", 0.8, whole, "×", "at least"),
            Figure("second upload of the same file", 50.0, again_ms, "ms", "at most"),
        ],
        data={"seconds": samples, "size_bytes": options.size * MIB},
    )


async def _in_turn(source: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {"one core": [], "pool": [], "upload_file": [], "upload_file again": []}
    directory: Directory = _NoDirectory()  # type: ignore[assignment]
    coordinator = Coordinator(Settings(), tickets.check, directory)
    await coordinator.start()
    swarm = Swarm(folder, 1)
    try:
        swarm.make_group("lab", "sealed", 1)
        for number in range(rounds + 1):
            one_core_s = _hash_here(source)
            pool_s = await _hash_in_pool(source, coordinator)
            os.utime(source, ns=(time.time_ns(), time.time_ns()))
            first_s = swarm.share(source, "lab", 1)[0]["seconds"]
            again_s = swarm.share(source, "lab", 1)[0]["seconds"]
            if number:
                for values, value in zip(samples.values(), (one_core_s, pool_s, first_s, again_s), strict=True):
                    values.append(value)
    finally:
        swarm.close()
        await coordinator.close()
    return samples


def _hash_here(source: Path) -> float:
    started_s = time.perf_counter()
    hasher = blake3()
    with (
        source.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
        memoryview(mapped) as view,
    ):
        for offset in range(0, len(view), _STEP_BYTES):
            hasher.update(view[offset : offset + _STEP_BYTES])
    hasher.digest()
    return time.perf_counter() - started_s


async def _hash_in_pool(source: Path, coordinator: Coordinator) -> float:
    started_s = time.perf_counter()
    with source.open("rb") as file:
        await coordinator.hash_jobs.hash_file(file.fileno(), Geometry.of_size(source.stat().st_size))
    return time.perf_counter() - started_s

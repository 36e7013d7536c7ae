"""Ways to fill the file that a download goes into: by pwrite or through a map, preallocated or sparse.

One process stores blocks of 256 KiB from a buffer that stays in the cache, in one way after the other; measured are
wall time and CPU until the last block is stored, preallocation included and without a sync. Shoal does "pwrite,
preallocated". Not for: the speed of the disk; all of this ends in the page cache.
"""

import argparse
import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.record.report import Section, cell
from bench.transfers.single import add_size_arguments
from engine.storage.destination import backend_for
from engine.storage.pwrite_destination import PwriteDestination
from tests.testkit.measure import GB, MIB, file_system_of, median_ratio, warm_memory

_BLOCK_BYTES = 256 << 10


def _fill_by_pwrite(descriptor: int, size_bytes: int, block: memoryview) -> None:
    destination = PwriteDestination(descriptor, size_bytes)
    for offset in range(0, size_bytes, _BLOCK_BYTES):
        destination.write(offset, block)


def _fill_through_map(descriptor: int, size_bytes: int, block: memoryview) -> None:
    with mmap.mmap(descriptor, size_bytes) as mapped:
        for offset in range(0, size_bytes, _BLOCK_BYTES):
            mapped[offset : offset + _BLOCK_BYTES] = block


_Fill = Callable[[int, int, memoryview], None]
_WAYS: dict[str, tuple[_Fill, bool]] = {
    "pwrite, preallocated": (_fill_by_pwrite, True),
    "pwrite, sparse": (_fill_by_pwrite, False),
    "map, preallocated": (_fill_through_map, True),
    "map, sparse": (_fill_through_map, False),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_size_arguments(parser, 1024)


def measure(options: argparse.Namespace) -> Section:
    size_bytes = options.size * MIB
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    cpu_seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name:
        for number in range(options.rounds + 1):
            for way, (fill, is_preallocated) in _WAYS.items():
                warm_memory(Path(name), size_bytes)
                wall_s, cpu_s = _fill_once(Path(name) / "file.bin", size_bytes, fill, is_preallocated)
                if number:
                    seconds[way].append(wall_s)
                    cpu_seconds[way].append(cpu_s)
        where = f"{file_system_of(Path(name))}, for which Shoal chooses the {backend_for(Path(name))} destination"
    ours = seconds["pwrite, preallocated"]
    gigabytes = size_bytes / GB
    rows = [
        [
            way,
            cell(gigabytes / statistics.median(seconds[way])),
            cell(statistics.median(cpu_seconds[way]) / gigabytes),
            cell(median_ratio(seconds[way], ours)),
        ]
        for way in _WAYS
    ]
    return Section(
        "destination",
        f"Filling a file of {options.size} MiB",
        f"One process, blocks of {_BLOCK_BYTES >> 10} KiB, no sync, on {where}.",
        ["way", "GB/s (median)", "CPU s/GB", "time against pwrite, preallocated"],
        rows,
        data={"seconds": seconds, "cpu_seconds": cpu_seconds, "size_bytes": size_bytes},
    )


def _fill_once(path: Path, size_bytes: int, fill: _Fill, is_preallocated: bool) -> tuple[float, float]:
    block = memoryview(os.urandom(_BLOCK_BYTES))
    cpu_before_s, before_s = time.process_time(), time.perf_counter()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    if is_preallocated:
        os.posix_fallocate(descriptor, 0, size_bytes)
    else:
        os.ftruncate(descriptor, size_bytes)
    fill(descriptor, size_bytes, block)
    wall_s, cpu_s = time.perf_counter() - before_s, time.process_time() - cpu_before_s
    os.close(descriptor)
    path.unlink()
    return wall_s, cpu_s

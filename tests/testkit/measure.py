"""What every measurement needs: CPU and private memory of process trees, medians of ratios, the machine in words.

CPU is that of a whole process tree, user and system, after minus before. Peak memory is the largest sum of USS (what
would be freed if the tree ended) among looks every 50 ms; looking costs time, so it is done in a warm-up run.

Not for: profiles (py-spy, perf), or code of microseconds, where a loop around `perf_counter` is enough.
"""

import contextlib
import math
import os
import platform
import ssl
import statistics
import threading
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

GB = 1e9
MIB = 1 << 20
_LOOK_EVERY_S = 0.05
_PACKAGES = ("numpy", "blake3", "xxhash", "msgspec", "cryptography", "psutil", "libtorrent")


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants; empty if it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time so far of these process trees, with that of children they have waited for."""
    total = 0.0
    for process in (member for pid in pids for member in tree(pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def private_bytes(pid: int) -> int:
    """USS of a process tree, now."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_full_info().uss
    return total


class PeakMemory:
    """Looks at a process tree from a thread while the `with` block runs; `peak_bytes` afterwards."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, private_bytes(self._pid))
            if self._is_over.wait(_LOOK_EVERY_S):
                return


def watching(pid: int, is_wanted: bool) -> contextlib.AbstractContextManager[PeakMemory | None]:
    """PeakMemory, or nothing that costs anything."""
    return PeakMemory(pid) if is_wanted else contextlib.nullcontext()


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median over rounds of one value against the other of the same round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def confidence_of_median(values: Sequence[float]) -> tuple[float, float, float]:
    """Between which two of the samples the true median lies, whatever their distribution is, and how probably: in 95
    of 100 cases or more, or in as many as so few samples can say.

    How many samples are below the median is binomial (Conover, Practical Nonparametric Statistics, 3.2).
    """
    ordered, count = sorted(values), len(values)
    outside = 2 / 2**count
    rank = 0
    while outside + 2 * math.comb(count, rank + 1) / 2**count <= 0.05:
        rank += 1
        outside += 2 * math.comb(count, rank) / 2**count
    return ordered[rank], ordered[-1 - rank], 1 - outside


# ---------------------------------------------------------------- files and memory


def write_random(path: Path, size_bytes: int) -> Path:
    """A file that nothing can compress or deduplicate, on the disk already (no write-back left to disturb a run)."""
    with path.open("wb") as file:
        left = size_bytes
        while left:
            left -= file.write(os.urandom(min(left, 16 * MIB)))
        file.flush()
        os.fsync(file.fileno())
    return path


def warm_memory(folder: Path, size_bytes: int) -> None:
    """Write a scratch file of this size into the folder and delete it.

    A virtual machine may have to fetch each page from its host at the first touch (about 1 s/GB), and gives free pages
    back soon. After this the page cache has as many pages at hand as the next run needs, for every contestant alike.
    """
    scratch, block = folder / ".scratch", memoryview(bytes(MIB))
    with scratch.open("wb", buffering=0) as file:
        left = size_bytes
        while left:
            left -= file.write(block[: min(left, MIB)])
    scratch.unlink()


# ---------------------------------------------------------------- the machine


def machine() -> dict[str, Any]:
    """What the figures depend on, and how loaded it was at this moment."""
    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity() or []),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "packages": dict(_versions()),
        "load_average": round(os.getloadavg()[0], 2),
    }


def file_system_of(folder: Path) -> str:
    """The type of the file system a folder is on."""
    best_length, name = -1, "unknown"
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        if folder.resolve().is_relative_to(mount) and len(mount.parts) > best_length:
            best_length, name = len(mount.parts), partition.fstype
    return name


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield package, metadata.version(package)

"""The seam between a transfer and a file: write a block, read a range. There are two ways, chosen by the file system.

`MappedDestination` reads through a map of the file. `PwriteDestination` maps nothing, for file systems where maps
misbehave: a store to a page of a network file first reads that page, and FUSE may not map at all.

Invariant: both hold the file open, so a rename or an unlink by another program changes no byte here.
"""

import functools
from pathlib import Path
from typing import Literal, Protocol

import psutil

from engine.storage.mapped_destination import MappedDestination
from engine.storage.pwrite_destination import PwriteDestination

Backend = Literal["mapped", "pwrite"]

_MAPS_WELL = frozenset({"ext4", "ext3", "ext2", "xfs", "tmpfs", "f2fs", "jfs"})
"""Local file systems whose map and page cache are one; anything else is written and read with plain calls."""


class Destination(Protocol):
    """An open file of known size."""

    def write(self, offset: int, block: memoryview) -> None:
        """Raises OSError; a short write is continued, not returned."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes, copied; raises OSError if the file became shorter."""

    def view(self, offset: int, length: int) -> memoryview | bytes:
        """Like `read`, but without a copy if there is a map; only for a file that no other program shortens."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


def backend_for(folder: Path) -> Backend:
    """How a file in this folder should be accessed, by the type of its file system."""
    return _backend_of_device(folder.stat().st_dev, folder)


@functools.lru_cache(maxsize=64)
def _backend_of_device(device: int, folder: Path) -> Backend:
    """Looked up once for each folder and device: the list of mounts is long on some machines, and files may be many."""
    best_length, file_system = -1, ""
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        if folder.resolve().is_relative_to(mount) and len(mount.parts) > best_length:
            best_length, file_system = len(mount.parts), partition.fstype
    return "mapped" if file_system in _MAPS_WELL else "pwrite"


def open_destination(descriptor: int, size_bytes: int, backend: Backend) -> Destination:
    """Takes the descriptor over. An empty file is never mapped, since it cannot be."""
    if backend == "mapped" and size_bytes:
        return MappedDestination(descriptor, size_bytes)
    return PwriteDestination(descriptor, size_bytes)

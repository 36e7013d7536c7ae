"""Turning a file on this disk into something a group can have: opened, hashed by the pool or recalled, described.

Invariant: the marks of the file are the same before and after it was hashed, so the manifest is of one state of it.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from engine.errors import LocalError, StorageError
from engine.storage.ledger import Ledger, SharedFile
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import BadGeometry, Geometry
from engine.transfer.coordinator import Coordinator
from tracker.names import BadName, check_new_file_name

OnProgress = Callable[[int, int], None]


def name_of(path: Path) -> str:
    """What the file will be called in the group; raises LocalError."""
    try:
        return check_new_file_name(path.name)
    except BadName as error:
        raise LocalError(f"{error}; rename it and try again", "bad_name") from error


class Reading:
    """How much of a file was read; nothing if its hashes were known."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self.done_bytes = 0

    def progressed(self, done_bytes: int, total_bytes: int) -> None:
        self.done_bytes = done_bytes
        if self._on_progress is not None:
            self._on_progress(done_bytes, total_bytes)


async def describe(
    path: Path, group_id: str, coordinator: Coordinator, ledger: Ledger, on_progress: OnProgress | None
) -> tuple[SharedFile, Manifest]:
    """The file as it is now. Raises StorageError. `on_progress(hashed, total)` in bytes, if it has to be read."""
    name = name_of(path)
    descriptor = _open_regular(path)
    try:
        before = os.fstat(descriptor)
        manifest = ledger.recall(path, before)
        if manifest is None:
            manifest = await _hash(descriptor, before.st_size, coordinator, on_progress)
            after = os.fstat(descriptor)
            if Stamp.of(after) != Stamp.of(before):
                raise StorageError(f"{path} changed while it was read; try again when it is finished", "file_changed")
            ledger.remember(path, after, manifest)
    finally:
        os.close(descriptor)
    return SharedFile(group_id, name, str(path), manifest.root, manifest.geometry, Stamp.of(before)), manifest


async def is_this_file(
    path: Path, manifest: Manifest, coordinator: Coordinator, on_progress: OnProgress | None
) -> Stamp | None:
    """The marks of the file at `path` if its content is this, otherwise None. Raises StorageError if unreadable."""
    descriptor = _open_regular(path)
    try:
        before = os.fstat(descriptor)
        if before.st_size != manifest.geometry.size_bytes:
            return None
        leaves = await coordinator.hash_jobs.hash_file(descriptor, manifest.geometry, on_progress)
        is_same = leaves == manifest.leaves.tobytes() and Stamp.of(os.fstat(descriptor)) == Stamp.of(before)
        return Stamp.of(before) if is_same else None
    finally:
        os.close(descriptor)


async def _hash(
    descriptor: int, size_bytes: int, coordinator: Coordinator, on_progress: OnProgress | None
) -> Manifest:
    try:
        geometry = Geometry.of_size(size_bytes)
    except BadGeometry as error:
        raise StorageError(f"{error}: that is more than one file may have") from error
    return Manifest.of_leaves(geometry, await coordinator.hash_jobs.hash_file(descriptor, geometry, on_progress))


def _open_regular(path: Path) -> int:
    """Non-blocking, so that a pipe in the place of a file cannot hold the client up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}", "no_file") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "unreadable") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError(f"{path} is not a regular file; only files can be shared", "not_a_file")
    return descriptor

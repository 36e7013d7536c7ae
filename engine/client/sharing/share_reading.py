"""Finds out whether a shared file that was touched or away is still the file that was shared: its hash decides.

The file is looked for at its path. If another file or none is there, it is looked for under its new name, which the
descriptor that served it tells. While a program writes the file, the verdict waits: only a file that was left alone for
a while and differs counts as changed.

Invariant: the verdict is "served" only if the marks were the same before and after all of the file was read and
matched.
Not here: what follows from the verdict (shares), who reads (coordinator.hash_jobs).
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.coordinator.coordinator import Coordinator
from engine.errors import StorageError
from engine.storage import current_path
from engine.storage.disk_errors import explained
from engine.storage.ledger import SharedFile
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry

SETTLE_S = 3.0
"""A file whose marks did not change for so long is not being written."""
_LOOK_S = 0.5
_GONE = frozenset({"gone", "not_a_file"})
"""Codes that mean that there is no such file. Other errors may end with a permission or a disk."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`path`, `stamp`: where the good file is and its marks, if it is to be served."""

    state: Literal["served", "missing", "unreadable", "changed"]
    path: Path
    stamp: Stamp | None = None
    reason: str = ""

    @classmethod
    def of(cls, error: StorageError, path: Path) -> "Verdict":
        """Why it cannot be read now."""
        return cls("missing" if error.code in _GONE else "unreadable", path, reason=str(error))


class ShareReading:
    """For all shares of a client; two files are read at a time."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._turns = asyncio.Semaphore(2)

    async def examine(
        self, file: SharedFile, descriptor: int | None, on_progress: Callable[[int, int], None], *, must_read: bool
    ) -> Verdict:
        """`descriptor`: of the file as it was served. `must_read`: its marks prove nothing."""
        verdict = await self._examine(file, Path(file.path), on_progress, must_read=must_read)
        if verdict.state == "served" or descriptor is None:
            return verdict
        moved = current_path.path_of(descriptor)
        if moved is None or moved == Path(file.path):
            return verdict
        elsewhere = await self._examine(file, moved, on_progress, must_read=must_read)
        # What is at the old path may be another file altogether: then the one that was shared is judged.
        return elsewhere if elsewhere.state in ("served", "changed") else verdict

    async def _examine(
        self, file: SharedFile, path: Path, on_progress: Callable[[int, int], None], *, must_read: bool
    ) -> Verdict:
        still = _Stillness()
        different: Stamp | None = None
        has_read = False
        while True:
            try:
                descriptor = _open_regular(path)
            except StorageError as error:
                return Verdict.of(error, path)
            try:
                stamp = Stamp.of(os.fstat(descriptor))
                is_quiet = still.is_quiet(stamp)
                if stamp == file.stamp and not must_read:
                    return Verdict("served", path, stamp)
                is_candidate = stamp.size_bytes == file.geometry.size_bytes and stamp != different
                if is_candidate and (is_quiet or not has_read):
                    has_read = True
                    is_same = await self._is_same(file, descriptor, on_progress)
                    if Stamp.of(os.fstat(descriptor)) != stamp:
                        continue
                    if is_same:
                        return Verdict("served", path, stamp)
                    different = stamp
            except StorageError as error:
                if Stamp.of(os.fstat(descriptor)) == stamp:  # nobody is writing: the disk is to blame
                    return Verdict.of(error, path)
            finally:
                os.close(descriptor)
            if is_quiet and (stamp == different or stamp.size_bytes != file.geometry.size_bytes):
                return Verdict("changed", path, reason="it is not what was shared any more; upload it again")
            await asyncio.sleep(_LOOK_S)

    async def hash_served(self, file_id: int, piece: int, geometry: Geometry) -> bytes:
        """Of a piece as it would be sent now. Raises StorageError."""
        descriptor, _ = self._coordinator.serving.duplicate(file_id)
        try:
            return (await self._coordinator.hash_jobs.hash_pieces(descriptor, geometry, [piece])).tobytes()
        finally:
            os.close(descriptor)

    async def _is_same(self, file: SharedFile, descriptor: int, on_progress: Callable[[int, int], None]) -> bool:
        async with self._turns:
            leaves = await self._coordinator.hash_jobs.hash_file(descriptor, file.geometry, on_progress)
        return Manifest.of_leaves(file.geometry, leaves).root == file.root


class _Stillness:
    """How long the marks of a file have been the same."""

    def __init__(self) -> None:
        self._stamp: Stamp | None = None
        self._since_s = 0.0

    def is_quiet(self, stamp: Stamp) -> bool:
        """By two clocks: one can be set, and the other does not count the time before this client ran."""
        now_s = time.monotonic()
        if stamp != self._stamp:
            self._stamp, self._since_s = stamp, now_s
        return now_s - self._since_s >= SETTLE_S or time.time() - stamp.ctime_ns / 1e9 >= SETTLE_S


def _open_regular(path: Path) -> int:
    """Non-blocking, so that a pipe in the place of a file cannot hold the client up. Raises StorageError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise explained(error, "read", path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError(f"{path} is not a regular file any more", "not_a_file")
    return descriptor

"""The complete files that the workers serve, and the descriptors that a new worker needs of each.

Invariant: a file is opened once, here; what is served is that very file, whatever its name leads to later. Of a content
that is suspended nothing is served before it was added again.
Not here: what is still being fetched (download), whether a file is still what it was (local_file, shares).
"""

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.coordinator.pool import Pool
from engine.errors import StorageError
from engine.ipc import orders
from engine.process import descriptor_limit
from engine.storage.destination import backend_for
from engine.storage.disk_errors import explained
from engine.storage.ledger import SharedFile
from engine.storage.piece_table import PieceTable
from engine.storage.stamp import Stamp

MARKS_MOVED = "marks_moved"
"""The code for a file that may or may not be what was shared: reading it tells."""

_DESCRIPTORS_A_FILE = 2
_DESCRIPTORS_KEPT_FREE = 128
"""For links, downloads, the ledger and the trackers: shares alone must not use them up, here or in a worker."""


@dataclass(slots=True)
class _Served:
    order: orders.AddFile
    path: str
    shared_descriptor: int
    descriptor: int


class Serving:
    """By the number that a file has in this client. `file_ids`: fresh numbers, which downloads take from as well."""

    def __init__(self, pool: Pool, file_ids: Iterator[int]) -> None:
        self._pool = pool
        self._file_ids = file_ids
        self._served: dict[int, _Served] = {}
        self._by_root: dict[bytes, dict[int, str]] = {}
        self._suspended: dict[tuple[str, bytes], orders.SuspendFile] = {}

    def __contains__(self, file_id: int) -> bool:
        return file_id in self._served

    def begin(self, share: SharedFile) -> int:
        """Serve a complete file; returns its number here. Raises StorageError if it is not what it was."""
        try:
            descriptor_limit.require(_DESCRIPTORS_A_FILE * (len(self._served) + 1) + _DESCRIPTORS_KEPT_FREE)
            descriptor = os.open(share.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise explained(error, "read", share.path) from error
        if Stamp.of(os.fstat(descriptor)) != share.stamp:
            os.close(descriptor)
            raise StorageError(f"{share.path} carries other marks than when it was shared", MARKS_MOVED)
        try:
            shared, shared_descriptor = PieceTable.create(share.geometry.piece_count)
        except StorageError:
            os.close(descriptor)
            raise
        shared.have[:] = 1
        file_id = next(self._file_ids)
        order = orders.AddFile(
            file_id, share.group_id, share.root, share.geometry.size_bytes, share.geometry.piece_bytes,
            backend_for(Path(share.path).parent), share.stamp,
        )  # fmt: skip
        self.take_over(order, share.path, shared_descriptor, descriptor)
        return file_id

    def take_over(self, order: orders.AddFile, path: str, shared_descriptor: int, descriptor: int) -> None:
        """A file that was just fetched; the descriptors are ours from now on."""
        self._served[order.file_id] = _Served(order, path, shared_descriptor, descriptor)
        self._by_root.setdefault(order.root, {})[order.file_id] = order.group_id
        self._suspended.pop((order.group_id, order.root), None)
        self._pool.send_all(order, [shared_descriptor, descriptor])

    def end(self, file_id: int, reason: str) -> None:
        served = self._take(file_id)
        if served is not None:
            self._pool.send_all(orders.RemoveFile(file_id, reason))
            os.close(served.descriptor)

    def suspend(self, file_id: int, code: str, reason: str) -> int:
        """Not one more byte of it; a peer that asks is told this, until it is served anew or released. Returns its data
        descriptor, which is the caller's from now on: it can tell what the file is called now.
        """
        served = self._take(file_id)
        assert served is not None
        order = orders.SuspendFile(file_id, served.order.group_id, served.order.root, code, reason)
        self._suspended[served.order.group_id, served.order.root] = order
        self._pool.send_all(order)
        return served.descriptor

    def release(self, group_id: str, root: bytes) -> None:
        """It was suspended, and does not come back soon: peers that ask hear that it is not shared."""
        if self._suspended.pop((group_id, root), None) is not None:
            self._pool.send_all(orders.ReleaseFile(group_id, root))

    def _take(self, file_id: int) -> _Served | None:
        """Forget it; its data descriptor is still open."""
        served = self._served.pop(file_id, None)
        if served is not None:
            same = self._by_root[served.order.root]
            del same[file_id]
            if not same:
                del self._by_root[served.order.root]
            os.close(served.shared_descriptor)
        return served

    def end_all(self, reason: str) -> None:
        for file_id in list(self._served):
            self.end(file_id, reason)
        for group_id, root in list(self._suspended):
            self.release(group_id, root)

    def has(self, group_id: str, root: bytes) -> bool:
        return group_id in self._by_root.get(root, {}).values()

    def is_suspended(self, group_id: str, root: bytes) -> bool:
        """Whether it is not served just now, which ends by itself."""
        return (group_id, root) in self._suspended

    def swarms(self) -> set[tuple[str, bytes]]:
        """(group, root) of all that is served or suspended; one content may be served under several names."""
        served = {(served.order.group_id, served.order.root) for served in self._served.values()}
        return served | self._suspended.keys()

    def find_same(self, root: bytes, besides: Container[int]) -> int | None:
        """A file with this content that still has its marks, whichever group it is served in."""
        return next((each for each in self._by_root.get(root, ()) if each not in besides and self._is_same(each)), None)

    def duplicate(self, file_id: int) -> tuple[int, str]:
        """A descriptor for reading that is the caller's, and the path it was opened at. Raises OSError."""
        served = self._served[file_id]
        return os.dup(served.descriptor), served.path

    def _is_same(self, file_id: int) -> bool:
        served = self._served[file_id]
        return Stamp.of(os.fstat(served.descriptor)) == served.order.stamp

    def tell(self, worker: int) -> None:
        """Give a new worker all files, and say which are suspended."""
        for order in self._suspended.values():
            self._pool.send(worker, order)
        for served in self._served.values():
            self._pool.send(worker, served.order, [served.shared_descriptor, served.descriptor])

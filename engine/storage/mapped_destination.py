"""A file that is mapped for reading and written through its descriptor.

Both reach the same page cache. Writing with `pwrite` costs less CPU than storing through the map, which has page faults
(docs/decisions.md), so the map only reads.

Invariant: views are taken only of files that no other program changes. A view of a file that was truncated after it was
taken ends this process when it is used (SIGBUS), which may be much later, when a transport sends it.
"""

import contextlib
import errno
import mmap
import os

from engine.storage.pwrite_destination import PwriteDestination


class MappedDestination(PwriteDestination):
    """See storage.destination for what is promised."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        super().__init__(descriptor, size_bytes)
        if os.fstat(descriptor).st_size < size_bytes:
            raise OSError(errno.ESTALE, "the file is shorter than it should be")
        self._map = mmap.mmap(descriptor, size_bytes, prot=mmap.PROT_READ)
        self._view = memoryview(self._map)

    def view(self, offset: int, length: int) -> memoryview:
        if os.fstat(self._descriptor).st_size < self._size_bytes:
            raise OSError(errno.ESTALE, "the file became shorter while it was read")
        return self._view[offset : offset + length]

    def close(self) -> None:
        self._view.release()
        with contextlib.suppress(BufferError):  # a transport still holds a slice: the map goes when that does
            self._map.close()
        super().close()

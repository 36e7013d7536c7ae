"""Writes a growing file to its disk while it grows, and drops what is written from the page cache.

Without it dirty pages pile up until the kernel puts every writer to sleep (dirty_ratio), the sync at the end of a
download takes long, and every page of a large file takes memory from other programs. So what is older than a window is
written, waited for and dropped; its pages are used again, and a file of any size passes through the same few of them.
The window stays in memory for peers that fetch the newest pieces from here; a smaller file stays whole.

Linux only, by sync_file_range(2) and posix_fadvise(2).
Not for: making a file durable. Errors are ignored here; the sync in coordinator.download.checkpoints reports them.
"""

import contextlib
import ctypes
import os
import threading
from collections import deque
from collections.abc import Sequence

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class WriteBehind:
    """For one file, through a descriptor of its own: it may still wait for the disk when the file is closed."""

    def __init__(self, descriptor: int, window_bytes: int) -> None:
        # Opened anew, not duplicated: an error of the disk is reported once to each opening, and waiting for a range
        # here must not take it from the sync that decides what the journal may say.
        try:
            self._descriptor = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
            self._is_closed = False
        except OSError:  # out of descriptors, or no /proc: the download goes on without
            self._is_closed = True
        self._turn = threading.Lock()
        self._window_bytes = window_bytes
        self._recent: deque[tuple[int, int]] = deque()
        self._recent_bytes = 0

    def advance(self, ranges: Sequence[tuple[int, int]]) -> None:
        """These (offset, length) were just filled, in this order. Blocks until what leaves the window is written."""
        with self._turn:
            if not self._is_closed:
                self._start(ranges)
                self._drop_oldest()

    def close(self) -> None:
        """Waits for `advance` to return. What comes after the last call is left to the kernel."""
        with self._turn:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._descriptor)

    def _start(self, ranges: Sequence[tuple[int, int]]) -> None:
        for offset, length in ranges:
            _sync_range(self._descriptor, offset, length, _WRITE)
            self._recent.append((offset, length))
            self._recent_bytes += length

    def _drop_oldest(self) -> None:
        while self._recent_bytes > self._window_bytes:
            offset, length = self._recent.popleft()
            self._recent_bytes -= length
            _sync_range(self._descriptor, offset, length, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def _sync_range(descriptor: int, offset: int, length: int, flags: int) -> None:
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, flags)

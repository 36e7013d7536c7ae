"""Asks the kernel to begin writing a file's dirty pages to the disk, without waiting for it.

Left alone, dirty pages pile up until the kernel puts every writer to sleep (dirty_ratio), and the sync at the end of a
download has all of it before it. Started early and often, the disk works while the network does. Linux only, by
sync_file_range(2); where that is missing nothing happens, and the final sync takes longer.
"""

import ctypes

_SYNC_FILE_RANGE_WRITE = 2
_start = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _start is not None:
    _start.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def start_write_back(descriptor: int) -> None:
    """For the whole file. Advice: an error means nothing here, the sync that follows will report it."""
    if _start is not None:
        _start(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)

"""Reserves space for a file before it is written, and tells which ranges of it were written.

posix_fallocate(3) is not used: where the file system cannot, the C library writes a byte into every block instead,
which takes as long as writing the file, and reports success on file systems that will still run out of space.
"""

import ctypes
import errno
import os
from collections.abc import Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = getattr(_libc, "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def allocate(descriptor: int, size_bytes: int) -> bool:
    """Make the file at least so long, and reserve its space. False: so long, but it gets space only when it is written.

    Raises OSError, of which ENOSPC is the one to expect.
    """
    if not size_bytes:
        return True
    while _fallocate is not None and _fallocate(descriptor, 0, 0, size_bytes):
        number = ctypes.get_errno()
        if number in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            break
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    else:
        if _fallocate is not None:
            return True
    if os.fstat(descriptor).st_size < size_bytes:
        os.ftruncate(descriptor, size_bytes)
    return False


def written_ranges(descriptor: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of the ranges that may hold data: neither a hole nor space that was only reserved."""
    end = 0
    while end < size_bytes:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: nothing but a hole from here on
                yield end, size_bytes
            return
        yield begin, min(end, size_bytes)

"""The part file of a download: opened safely, locked against a second download, its space reserved.

Space is reserved for the whole file before the first byte: a full disk is found out at the start and said with numbers,
and the map never lies over a hole. A reserve stays free for the client's own state files.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path

from engine.errors import StorageError


def open_part(path: Path, size_bytes: int, reserve_bytes: int) -> int:
    """A descriptor for reading and writing, `size_bytes` long and backed by space. Raises StorageError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", _code_of(error)) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StorageError(f"{path} is in the way: it is not a regular file", "target_exists")
        _lock(descriptor, path)
        _reserve(descriptor, path, size_bytes, reserve_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(f"another client is downloading into {path} right now", "target_busy") from None


def _reserve(descriptor: int, path: Path, size_bytes: int, reserve_bytes: int) -> None:
    status, space = os.fstat(descriptor), os.fstatvfs(descriptor)
    needed = size_bytes - min(size_bytes, status.st_blocks * 512)
    free = space.f_bavail * space.f_frsize
    if needed and needed + reserve_bytes > free:
        if not status.st_blocks:
            os.unlink(path)
        raise StorageError(
            f"no space for {path}: {needed:,} bytes are needed and {reserve_bytes:,} stay in reserve, "
            f"{free:,} are free; make room and try again",
            "no_space",
        )
    try:
        if status.st_size > size_bytes:
            os.ftruncate(descriptor, size_bytes)
        if size_bytes:
            os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise StorageError(f"cannot reserve space for {path}: {error.strerror}", _code_of(error)) from error
        os.ftruncate(descriptor, size_bytes)


def _code_of(error: OSError) -> str:
    return "no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "storage"

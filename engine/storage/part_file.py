"""The part files of this client's downloads: opened safely, locked against a second download, their space reserved.

Space is reserved for the whole file before its first byte. So a full disk is noticed at the start and reported with
numbers, and a map never lies over a hole. Where the file system cannot reserve (NFS without fallocate, ext2, vfat), the
client counts what its downloads still have to write as taken.

Invariant: no symbolic link is followed, and `reserve_bytes` stay free for the client's own state files.
"""

import errno
import fcntl
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import StorageError
from engine.storage.allocation import allocate
from engine.storage.disk_errors import OUT_OF_SPACE, explained
from engine.storage.file_names import discard_part, journal_path
from engine.storage.journal import Saved

_PROBE_BYTES = 64 << 10
_IN_THE_WAY = "target_exists"
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    size_bytes: int
    device: int
    is_backed: bool


class PartFiles:
    """The part files that are open now. `reserve_bytes` stay free on every file system."""

    def __init__(self, reserve_bytes: int) -> None:
        self._reserve_bytes = reserve_bytes
        self._open: dict[int, _Part] = {}
        self._waiting: set[int] = set()

    def open(self, path: Path, size_bytes: int) -> int:
        """A descriptor for reading and writing, `size_bytes` long and backed by space if possible. Raises
        StorageError.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise _in_the_way(path) or explained(error, "write", path) from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _in_the_way(path) or StorageError(f"{path} is not a regular file", _IN_THE_WAY)
            _lock(descriptor, path)
            part = _Part(path, size_bytes, status.st_dev, False)
            self._refuse_without_room(descriptor, part)
            is_backed = _reserve(descriptor, part)
        except BaseException:
            os.close(descriptor)
            raise
        self._open[descriptor] = _Part(path, size_bytes, status.st_dev, is_backed)
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close the part file and release its lock."""
        os.close(self.release(descriptor))

    def release(self, descriptor: int) -> int:
        """The descriptor is the caller's from now on, and its file no part file any more."""
        self._open.pop(descriptor, None)
        self._waiting.discard(descriptor)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # at once, although workers may still have it open
        return descriptor

    def wait_for_room(self, descriptor: int) -> None:
        """This one ran out of space: what it misses is not counted as taken until it goes on."""
        self._waiting.add(descriptor)

    def can_go_on(self, descriptor: int) -> bool:
        """Whether there is room again; if so, it is counted as taken. `can_write_beside` knows about quotas."""
        if self._shortage(descriptor, self._open[descriptor]) is None:
            self._waiting.discard(descriptor)
            return True
        return False

    def _refuse_without_room(self, descriptor: int, part: _Part) -> None:
        shortage = self._shortage(descriptor, part)
        if shortage is not None:
            if not os.fstat(descriptor).st_blocks:
                os.unlink(part.path)
            raise StorageError(f"no space for {part.path}: {shortage}; make room and try again", OUT_OF_SPACE)

    def _shortage(self, descriptor: int, part: _Part) -> str | None:
        """What is missing, in words with numbers; None if there is enough."""
        needed = _missing(descriptor, part)
        others = [
            _missing(other, each)
            for other, each in self._open.items()
            if each.device == part.device and not each.is_backed and other not in (descriptor, *self._waiting)
        ]
        space = os.fstatvfs(descriptor)
        free = space.f_bavail * space.f_frsize
        if not needed or needed + sum(others) + self._reserve_bytes <= free:
            return None
        taken = f"{sum(others):,} are for other downloads, " if sum(others) else ""
        return f"{needed:,} bytes are needed, {taken}{self._reserve_bytes:,} stay in reserve, {free:,} are free"


def _missing(descriptor: int, part: _Part) -> int:
    return part.size_bytes - min(part.size_bytes, os.fstat(descriptor).st_blocks * 512)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(f"another client is downloading into {path} right now", "target_busy") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise explained(error, "lock", path) from error


def _reserve(descriptor: int, part: _Part) -> bool:
    before_bytes = os.fstat(descriptor).st_size
    try:
        if before_bytes > part.size_bytes:
            os.ftruncate(descriptor, part.size_bytes)
        return allocate(descriptor, part.size_bytes)
    except OSError as error:
        with suppress(OSError):  # give back what was got of it
            os.ftruncate(descriptor, min(before_bytes, part.size_bytes))
            if not before_bytes:
                os.unlink(part.path)
        raise explained(error, "reserve space for", part.path) from error


def _in_the_way(path: Path) -> StorageError | None:
    """If something is there that no part file can be."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return None
    kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something that is no file")
    return StorageError(
        f"there is {kind} at {path}, where the part file belongs; move it away, and put the part file back if that was "
        "moved",
        _IN_THE_WAY,
    )


def _other_file(part: Path, saved: Saved | None) -> StorageError | None:
    with suppress(OSError):
        if saved is not None and part.lstat().st_ino != saved.mark.inode:
            return StorageError(f"{part} is another file than the one that was fetched into; it stays", _IN_THE_WAY)
    return None


def remove(part: Path, *, is_expected: bool, saved: Saved | None) -> None:
    """Remove a part file and its journal, which says `saved`. Raises StorageError if that fails, if something else is
    there, if another client writes into it, or if it `is_expected` and neither is there.
    """
    in_the_way = _in_the_way(part) or _other_file(part, saved)
    if in_the_way is not None:
        with suppress(OSError):
            if saved is not None:
                journal_path(part).unlink()
        raise in_the_way
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if is_expected and not os.path.lexists(journal_path(part)):
            raise StorageError(
                f"{part} is not there; if its disk is away, remove that file when it is back", "part_gone"
            ) from None
    except OSError as error:
        raise explained(error, "remove", part) from error
    else:
        try:
            _lock(descriptor, part)
        finally:
            os.close(descriptor)
    try:
        discard_part(part)
    except OSError as error:
        raise explained(error, "remove", part) from error


def can_write_beside(path: Path) -> bool:
    """Whether a file can be written in this folder. It is tried, since a quota cannot be looked up. Blocking; leaves
    nothing behind.
    """
    probe = path.with_name(f".shoal-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.unlink(probe)  # at once: nothing is left behind, whatever comes
            count = os.write(descriptor, bytes(_PROBE_BYTES))
            os.fsync(descriptor)
            return count == _PROBE_BYTES
        finally:
            os.close(descriptor)
    except OSError:
        return False

"""Makes the description of a file on this disk that a group can list: the file is opened and hashed by the workers, or
its hashes are known from before.

Invariants: the marks of the file are the same before and after it was hashed, so the manifest is of one state of it.
The file ends where its size says (files of /proc have size 0 and do not end there).
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.coordinator.coordinator import Coordinator
from engine.errors import LocalError, StorageError
from engine.storage.ledger import Ledger, SharedFile
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import BadGeometry, Geometry
from tracker.protocol.names import BadName, check_new_file_name

OnProgress = Callable[[int, int], None]

_FOLDER = "a folder"
_KINDS = {
    stat.S_IFDIR: _FOLDER,
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def name_of(path: Path) -> str:
    """The name of the file in the group. Raises LocalError."""
    try:
        str(path).encode()
        return check_new_file_name(path.name)
    except UnicodeEncodeError:
        raise LocalError(f"the path {path} is not UTF-8 text; rename it and try again", "bad_name") from None
    except BadName as error:
        raise LocalError(f"{error}; rename it and try again", "bad_name") from error


class Reading:
    """Counts how much of a file was read: nothing, if its hashes were known."""

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
        _insist_on_size(path, descriptor, before.st_size)
        manifest = ledger.recall(path, before)
        if manifest is None:
            manifest = await _hash_unchanged(path, descriptor, before, coordinator, on_progress)
            ledger.remember(path, before, manifest)
    finally:
        os.close(descriptor)
    return SharedFile(group_id, name, str(path), manifest.root, manifest.geometry, Stamp.of(before)), manifest


async def is_this_file(
    path: Path, manifest: Manifest, coordinator: Coordinator, on_progress: OnProgress | None
) -> Stamp | None:
    """The marks of the file at `path` if its content is this manifest's, otherwise None. Raises StorageError
    (target_exists) if it cannot be read.
    """
    advice, kind = "move it away or choose another destination", None
    with suppress(OSError):  # gone meanwhile: said below
        kind = _kind_of(os.lstat(path).st_mode)
    if kind is not None:
        raise StorageError(f"there is {kind} at {path}; {advice}", "target_exists")
    try:
        descriptor = _open_regular(path)
    except StorageError as error:
        raise StorageError(f"there is a file already, to be compared: {error}; {advice}", "target_exists") from error
    try:
        if os.fstat(descriptor).st_size != manifest.geometry.size_bytes:
            return None
        root, stamp = await _root_and_stamp(descriptor, manifest.geometry, coordinator, on_progress)
        return stamp if root == manifest.root else None
    finally:
        os.close(descriptor)


async def _root_and_stamp(
    descriptor: int, geometry: Geometry, coordinator: Coordinator, on_progress: OnProgress | None
) -> tuple[bytes, Stamp | None]:
    """Of the file as it is now; no marks if it changed meanwhile, or does not end where its size says."""
    before = Stamp.of(os.fstat(descriptor))
    leaves = await coordinator.hash_jobs.hash_file(descriptor, geometry, on_progress)
    is_one_state = Stamp.of(os.fstat(descriptor)) == before and _has_size(descriptor, geometry.size_bytes)
    return Manifest.of_leaves(geometry, leaves).root, before if is_one_state else None


async def _hash_unchanged(
    path: Path, descriptor: int, before: os.stat_result, coordinator: Coordinator, on_progress: OnProgress | None
) -> Manifest:
    failure: StorageError | None = None
    try:
        manifest = await _hash(descriptor, before.st_size, coordinator, on_progress)
    except StorageError as error:
        failure = error  # that of a file that shrinks says less than its marks do
    if Stamp.of(os.fstat(descriptor)) != Stamp.of(before):
        raise StorageError(f"{path} changed while it was read; try again when it is finished", "file_changed")
    if failure is not None:
        raise failure
    _insist_on_size(path, descriptor, before.st_size)
    return manifest


async def _hash(descriptor: int, size_bytes: int, coordinator: Coordinator, on_progress: OnProgress | None) -> Manifest:
    try:
        geometry = Geometry.of_size(size_bytes)
    except BadGeometry as error:
        raise StorageError(f"{error}: that is more than one file may have") from error
    return Manifest.of_leaves(geometry, await coordinator.hash_jobs.hash_file(descriptor, geometry, on_progress))


def _insist_on_size(path: Path, descriptor: int, size_bytes: int) -> None:
    if not _has_size(descriptor, size_bytes):
        raise StorageError(
            f"{path} does not end where its size says ({size_bytes} bytes), as files of /proc and /sys; copy it, and "
            "share the copy",
            "wrong_size",
        )


def _has_size(descriptor: int, size_bytes: int) -> bool:
    """Whether the last byte is there, and none behind it."""
    begin = max(size_bytes - 1, 0)
    try:
        return len(os.pread(descriptor, 2, begin)) == size_bytes - begin
    except OSError:  # it has a size and cannot be read there
        return False


def _open_regular(path: Path) -> int:
    """Looked at before it is opened, which can set a device going; and non-blocking, so that a pipe that takes the
    file's place meanwhile cannot hold the client up.
    """
    try:
        _insist_on_file(path, os.stat(path).st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        leads_nowhere = " (it is a symbolic link that leads nowhere)" if path.is_symlink() else ""
        raise StorageError(f"there is no file {path}{leads_nowhere}", "no_file") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "unreadable") from error
    try:
        _insist_on_file(path, os.fstat(descriptor).st_mode)
    except StorageError:
        os.close(descriptor)
        raise
    return descriptor


def _insist_on_file(path: Path, mode: int) -> None:
    kind = _kind_of(mode)
    if kind == _FOLDER:
        advice = "only files can be shared: pack it into one (tar), or share its files one by one"
        raise StorageError(f"{path} is a folder; {advice}", "not_a_file")
    if kind is not None:
        advice = "only files can be shared: write what it gives into a file first"
        raise StorageError(f"{path} is {kind}; {advice}", "not_a_file")


def _kind_of(mode: int) -> str | None:
    """None of a regular file."""
    if stat.S_ISREG(mode):
        return None
    return _KINDS.get(stat.S_IFMT(mode), "something that is no file")

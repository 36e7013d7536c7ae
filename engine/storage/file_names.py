"""Where a download lands, and what its part file and journal are called while it is under way.

The finished file appears under its name at once and whole, by a hard link that fails if the name is taken. Until then
the data is in a hidden part file beside it, `.NAME.part`, with its journal, `.NAME.part.journal`.

Invariant: nothing that exists is ever overwritten, and no symbolic link is followed where a file is created.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from engine.errors import StorageError
from engine.storage.disk_errors import explained

_NAME_BYTES_MAX = 255
_SHOWN_MAX = 120
_LONGEST_SUFFIX = ".part.journal"


def target_of(destination: Path | str, name: str) -> Path:
    """The final absolute path: `destination` itself, or `name` inside it if it is a folder. Raises StorageError.

    A string that ends in a slash is a folder, even if `make_folder` has to make it; a Path does not keep the slash.
    """
    if str(destination) == "":
        raise StorageError("the destination is empty; write . for the current folder", "no_folder")
    path = Path(destination)
    try:
        if b"\0" in str(path).encode():
            raise ValueError("a zero byte in a path")
        if path.is_dir():
            return path.resolve() / name
        if str(destination).endswith(("/", "/.")):
            _check_room_for_folder(path)
            return path.resolve() / name
        folder = path.parent
        if folder == path or not folder.is_dir():
            advice = "create it, or choose another destination; one that ends in / is made as a folder"
            raise StorageError(f"there is no folder {_short(folder)}; {advice}", "no_folder")
        return folder.resolve() / path.name
    except OSError as error:
        raise explained(error, "write", _short(destination)) from error
    except ValueError as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)
        raise StorageError(f"{_short(destination)} cannot be a destination: {reason}", "no_folder") from error


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and its parents, with the permissions that the umask gives, durably. Returns those that were made,
    the innermost last. Raises StorageError, and then none was made.
    """
    made: list[Path] = []
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        for each in reversed(missing):
            each.mkdir()
            made.append(each)
            sync_folder(each.parent)
    except OSError as error:
        remove_folders(made)
        raise explained(error, "make the folder", _short(folder)) from error
    return made


def remove_folders(made: list[Path]) -> None:
    """Remove the folders that `make_folder` made, as long as they are empty."""
    with suppress(OSError):
        for each in reversed(made):
            each.rmdir()


def _check_room_for_folder(folder: Path) -> None:
    """Raises StorageError if something that is no folder is in the way of making this one."""
    for each in (folder, *folder.parents):
        if os.path.lexists(each):
            if not each.is_dir():
                kind = "a symbolic link that leads nowhere" if each.is_symlink() and not each.exists() else "a file"
                raise StorageError(
                    f"there is no folder {_short(folder)}, and none can be made: {_short(each)} is {kind}", "no_folder"
                )
            return


def _short(path: Path | str) -> str:
    """As much of a path as a line can show."""
    text = str(path)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def part_path(target: Path, root: bytes) -> Path:
    """Where the data is until it is whole. A name that would be too long is cut, and gets a part of the root."""
    name = target.name.encode()
    room = _NAME_BYTES_MAX - len(_LONGEST_SUFFIX) - 1
    if len(name) > room:
        identity = "~" + root[:8].hex()
        name = name[: room - len(identity)].decode(errors="ignore").encode() + identity.encode()
    return target.with_name(f".{name.decode()}.part")


def journal_path(part: Path) -> Path:
    return part.with_name(part.name + ".journal")


def install(part: Path, target: Path) -> None:
    """Give the finished data its name, atomically, and only if the name is free. Durable when this returns."""
    try:
        os.link(part, target, follow_symlinks=False)
    except FileExistsError:
        raise StorageError(f"{target} came into being meanwhile; the data is in {part}", "target_exists") from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        _install_without_links(part, target)
    else:
        os.unlink(part)
    sync_folder(target.parent)


def discard_part(part: Path) -> None:
    """Remove a part file and its journal, if they are there."""
    part.unlink(missing_ok=True)
    journal_path(part).unlink(missing_ok=True)


def _install_without_links(part: Path, target: Path) -> None:
    """For file systems without hard links (vfat, some FUSE): look whether the name is free, then rename."""
    if os.path.lexists(target):
        raise StorageError(f"{target} came into being meanwhile; the data is in {part}", "target_exists")
    os.rename(part, target)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

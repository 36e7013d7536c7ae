"""A disk in memory that forgets what was not synced, for code that uses `os` by position.

    disk = PowerLossDisk(random.Random(seed), fails_after=17)
    monkeypatch.setattr(module, "os", disk)

Every call that changes something counts; the one after `fails_after` raises PowerLoss, and so does every later one.
`after_the_cut` is the disk as the machine finds it when it starts again: all that was synced, and of the rest any
sectors the hardware happened to have written, in any order. A new name is there only if its folder was synced. This is
harsher than most disks, as far as a disk keeps the promise of a sync at all.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_SECTOR_BYTES = 512


class PowerLoss(BaseException):
    """Not an Exception: nothing on the way may handle it."""


@dataclass
class _File:
    inode: int
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    is_named: bool = False


class PowerLossDisk:
    """Stands in for the module `os`; what it does not know, the real one answers."""

    def __init__(self, chance: random.Random, fails_after: int) -> None:
        self.files: dict[str, _File] = {}
        self.on_sync: Callable[[str], None] = lambda path: None
        self._chance = chance
        self._changes_left = fails_after
        self._descriptors: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    # ------------------------------------------------------------ as of `os`

    def open(self, path: Path | str, flags: int, mode: int = 0o666) -> int:
        name = str(path)
        if name not in self.files:
            if not flags & os.O_CREAT:
                raise FileNotFoundError(name)
            self._count()
            self.files[name] = _File(len(self.files) + 1)
        descriptor = 1000 + len(self._descriptors)
        self._descriptors[descriptor] = name
        return descriptor

    def close(self, descriptor: int) -> None:
        pass

    def pread(self, descriptor: int, count: int, offset: int) -> bytes:
        return bytes(self._file(descriptor).content[offset : offset + count])

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """Often short, as it may be."""
        self._count()
        count = self._chance.randint(1, len(data))
        self._write(self._file(descriptor), offset, bytes(data[:count]))
        return count

    def ftruncate(self, descriptor: int, size: int) -> None:
        """Durable at once: nothing here depends on the order of this."""
        self._count()
        file = self._file(descriptor)
        for content in (file.content, file.durable):
            del content[size:]
            content.extend(bytes(size - len(content)))
        file.pending = [(offset, data) for offset, data in file.pending if offset + len(data) <= size]

    def fstat(self, descriptor: int) -> Any:
        file = self._file(descriptor)
        return SimpleNamespace(st_ino=file.inode, st_mtime_ns=1, st_size=len(file.content))

    def fdatasync(self, descriptor: int) -> None:
        self._count()
        file = self._file(descriptor)
        file.durable[:] = file.content
        file.pending.clear()
        self.on_sync(self._descriptors[descriptor])

    fsync = fdatasync

    # ------------------------------------------------------------ beside it

    def allocate(self, descriptor: int, size_bytes: int) -> bool:
        self.ftruncate(descriptor, max(size_bytes, len(self._file(descriptor).content)))
        return True

    def sync_folder(self, folder: Path) -> None:
        self._count()
        for name, file in self.files.items():
            if Path(name).parent == folder:
                file.is_named = True

    def after_the_cut(self, fails_after: int) -> "PowerLossDisk":
        after = PowerLossDisk(self._chance, fails_after)
        for name, file in self.files.items():
            if not file.is_named and self._chance.random() < 0.5:
                continue
            content = bytearray(file.durable)
            survivors = [each for each in file.pending if self._chance.random() < 0.5]
            self._chance.shuffle(survivors)
            for offset, data in survivors:
                content[offset : offset + len(data)] = data
            after.files[name] = _File(file.inode, content, bytearray(content), [], True)
        return after

    # ------------------------------------------------------------ inside

    def _file(self, descriptor: int) -> _File:
        return self.files[self._descriptors[descriptor]]

    def _count(self) -> None:
        self._changes_left -= 1
        if self._changes_left < 0:
            raise PowerLoss

    @staticmethod
    def _write(file: _File, offset: int, data: bytes) -> None:
        file.content.extend(bytes(max(0, offset + len(data) - len(file.content))))
        file.durable.extend(bytes(len(file.content) - len(file.durable)))
        file.content[offset : offset + len(data)] = data
        end = offset + len(data)
        while offset < end:  # each sector reaches the disk for itself
            stop = min(end, (offset // _SECTOR_BYTES + 1) * _SECTOR_BYTES)
            file.pending.append((offset, bytes(file.content[offset:stop])))
            offset = stop

"""Behind the newest data of a growing file: written to the disk, and out of memory."""

import ctypes
import mmap
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.storage.write_back import WriteBehind

MIB = 1 << 20
PAGE = mmap.PAGESIZE


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def resident_bytes(descriptor: int, size_bytes: int) -> int:
    """How much of the file is in memory (mincore)."""
    pages = (ctypes.c_ubyte * (size_bytes // PAGE))()
    # Mapped in private, so that the address can be had; nothing is stored, so the pages are still the file's.
    with mmap.mmap(descriptor, size_bytes, mmap.MAP_PRIVATE) as view:
        start = ctypes.c_char.from_buffer(view)
        failed = ctypes.CDLL(None).mincore(ctypes.byref(start), ctypes.c_size_t(size_bytes), pages)
        del start
    assert not failed
    return sum(page & 1 for page in pages) * PAGE


def fill(descriptor: int, behind: WriteBehind, size_bytes: int) -> None:
    for offset in range(0, size_bytes, MIB):
        os.pwrite(descriptor, os.urandom(MIB), offset)
        behind.advance([(offset, MIB)])


def test_no_more_than_the_window_stays_in_memory(file: int) -> None:
    if is_memory(file):
        pytest.skip("the folder for temporary files is memory itself")
    behind = WriteBehind(file, window_bytes=4 * MIB)
    fill(file, behind, 32 * MIB)
    behind.close()
    assert resident_bytes(file, 32 * MIB) <= 5 * MIB


def is_memory(descriptor: int) -> bool:
    """Whether memory is the file's only place: dropping it does nothing there."""
    os.pwrite(descriptor, b"x" * PAGE, 0)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, PAGE, os.POSIX_FADV_DONTNEED)
    return resident_bytes(descriptor, PAGE) > 0


def test_a_file_smaller_than_the_window_stays_whole(file: int) -> None:
    behind = WriteBehind(file, window_bytes=64 * MIB)
    fill(file, behind, 8 * MIB)
    behind.close()
    assert resident_bytes(file, 8 * MIB) == 8 * MIB


def test_what_was_dropped_is_read_back_unchanged(file: int) -> None:
    behind, written = WriteBehind(file, window_bytes=0), os.urandom(2 * MIB)
    os.pwrite(file, written, 0)
    behind.advance([(MIB, MIB), (0, MIB)])
    behind.close()
    assert os.pread(file, 2 * MIB, 0) == written


def test_after_closing_it_does_nothing_and_has_no_descriptor(file: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    behind = WriteBehind(file, window_bytes=0)
    behind.close()
    behind.close()
    behind.advance([(0, MIB)])
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_a_descriptor_to_spare_it_does_nothing_and_raises_nothing(file: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (file, hard))  # every number from here on is refused
    try:
        behind = WriteBehind(file, window_bytes=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fill(file, behind, 2 * MIB)
    behind.close()
    assert resident_bytes(file, 2 * MIB) == 2 * MIB

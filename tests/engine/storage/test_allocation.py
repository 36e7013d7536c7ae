import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.storage.allocation import allocate, written_ranges

BLOCK = 1 << 16


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "a file", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


def test_a_file_is_as_long_as_was_asked_for_and_never_made_shorter(descriptor: int) -> None:
    is_backed = allocate(descriptor, 4 * BLOCK)
    assert os.fstat(descriptor).st_size == 4 * BLOCK
    if is_backed:
        assert os.fstat(descriptor).st_blocks * 512 >= 4 * BLOCK
    allocate(descriptor, BLOCK)
    assert os.fstat(descriptor).st_size == 4 * BLOCK


def test_what_was_written_lies_within_the_written_ranges(descriptor: int) -> None:
    os.ftruncate(descriptor, 8 * BLOCK)
    os.pwrite(descriptor, bytes([1]) * BLOCK, 2 * BLOCK)
    ranges = list(written_ranges(descriptor, 8 * BLOCK))
    assert any(begin <= 2 * BLOCK and end >= 3 * BLOCK for begin, end in ranges)
    assert all(0 <= begin < end <= 8 * BLOCK for begin, end in ranges)


def test_nothing_is_written_in_an_empty_file_and_in_one_that_is_a_hole(descriptor: int) -> None:
    assert list(written_ranges(descriptor, 0)) == []
    os.ftruncate(descriptor, 8 * BLOCK)
    os.fsync(descriptor)
    assert sum(end - begin for begin, end in written_ranges(descriptor, 8 * BLOCK)) in (0, 8 * BLOCK)

"""What the part file of an unfinished download holds: how many bytes came, and how many of them are right.

It is read from outside, while the client runs or after it was killed. Not for: what the client itself knows of it.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.storage.allocation import written_ranges

_PIECE_BYTES = 256 << 10


def part_of(target: Path) -> Path:
    """Where a file is until it is whole; `target` is where it will be then."""
    return target.with_name(f".{target.name}.part")


def count_written_bytes(part: Path) -> int:
    """Space is allocated before the first byte comes; this is what came."""
    try:
        with part.open("rb") as file:
            return sum(end - begin for begin, end in written_ranges(file.fileno(), os.fstat(file.fileno()).st_size))
    except OSError:
        return 0


def count_good_bytes(part: Path, source: Path) -> int:
    """Bytes of whole pieces that are equal in both files."""
    good = 0
    with part.open("rb") as mine, source.open("rb") as theirs:
        while expected := theirs.read(64 * _PIECE_BYTES):
            found = mine.read(len(expected)).ljust(len(expected), b"\0")
            count = len(expected) // _PIECE_BYTES
            mine_now, theirs_now = [_as_pieces(data, count) for data in (found, expected)]
            good += int((mine_now == theirs_now).all(axis=1).sum()) * _PIECE_BYTES
    return good


def _as_pieces(data: bytes, count: int) -> Any:
    """Shape (count, piece bytes), uint8."""
    return np.frombuffer(data, np.uint8)[: count * _PIECE_BYTES].reshape(count, -1)

"""A file of two pieces as a worker has it open."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.ipc import orders
from engine.storage.manifest import piece_hasher
from engine.storage.piece_table import PieceTable
from engine.worker.local_file import LocalFile

PIECE_BYTES = 1 << 18
CONTENT = random.Random(7).randbytes(PIECE_BYTES + 1000)


@pytest.fixture
def local_file(tmp_path: Path) -> Iterator[LocalFile]:
    """Number 1, incomplete: as long as its content, with the leaves of CONTENT and not one byte of it."""
    path = tmp_path / "a file"
    path.write_bytes(bytes(len(CONTENT)))
    table, descriptor = PieceTable.create(2)
    for piece, begin in enumerate((0, PIECE_BYTES)):
        leaf = piece_hasher().update(CONTENT[begin : begin + PIECE_BYTES]).digest()
        table.leaves[piece] = np.frombuffer(leaf, np.uint8)
    order = orders.AddFile(1, "lab", bytes(32), len(CONTENT), PIECE_BYTES, "pwrite", None)
    file = LocalFile(order, 8, descriptor, os.open(path, os.O_RDWR))
    os.close(descriptor)
    yield file
    file.close()

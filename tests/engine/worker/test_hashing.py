import errno
import os
from pathlib import Path

import pytest

from engine.ipc.orders import HashPieces
from engine.storage.manifest import piece_hasher
from engine.worker.hashing import hash_pieces
from tests.engine.worker.conftest import CONTENT, PIECE_BYTES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a file").write_bytes(CONTENT)
    return tmp_path / "a file"


def leaves_of(path: Path, order: HashPieces) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return hash_pieces(order, descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(("first", "count"), [(0, 2), (1, 1)])
def test_each_piece_of_the_run_has_its_leaf_the_last_short_one_too(path: Path, first: int, count: int) -> None:
    pieces = [CONTENT[:PIECE_BYTES], CONTENT[PIECE_BYTES:]][first : first + count]
    expected = b"".join(piece_hasher().update(piece).digest() for piece in pieces)
    assert leaves_of(path, HashPieces(1, len(CONTENT), PIECE_BYTES, first, count)) == expected


def test_a_file_that_is_shorter_than_the_order_says_is_not_hashed(path: Path) -> None:
    os.truncate(path, len(CONTENT) - 1)
    with pytest.raises(OSError, match="shorter") as caught:
        leaves_of(path, HashPieces(1, len(CONTENT), PIECE_BYTES, 0, 2))
    assert caught.value.errno == errno.ESTALE, "it was changed; the disk is not at fault"

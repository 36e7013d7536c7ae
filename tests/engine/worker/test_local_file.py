"""A file as a worker has it open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.ipc import orders
from engine.storage.piece_table import PieceTable
from engine.swarm.sender_choice import SENT_FORGOTTEN_S
from engine.worker.local_file import LocalFile
from tests.testkit.builders import write_content

PIECE = 1 << 18


@pytest.fixture
def twice(tmp_path: Path) -> Iterator[tuple[LocalFile, LocalFile]]:
    """One file, open in two workers."""
    path = write_content(tmp_path / "data.bin", 4 * PIECE)
    _, state = PieceTable.create(4)
    order = orders.AddFile(1, "lab", bytes(32), 4 * PIECE, PIECE, "pwrite", None)
    files = [LocalFile(order, 8, state, os.open(path, os.O_RDWR)) for _ in range(2)]
    os.close(state)
    yield files[0], files[1]
    for file in files:
        file.close()


def test_what_was_sent_is_counted_by_all_workers_together(twice: tuple[LocalFile, LocalFile]) -> None:
    one, other = twice
    one.sent.goes_on(100.0)
    one.sent.count(2, 100.0)
    other.sent.goes_on(100.0 + SENT_FORGOTTEN_S)
    assert other.sent.counts.tolist() == [0, 0, 1, 0]


def test_after_a_pause_of_all_workers_it_is_counted_anew(twice: tuple[LocalFile, LocalFile]) -> None:
    one, other = twice
    one.sent.goes_on(100.0)
    one.sent.count(2, 100.0)
    other.sent.goes_on(101.0)
    one.sent.goes_on(101.0 + SENT_FORGOTTEN_S)
    assert one.sent.counts[2] == 1
    other.sent.goes_on(101.1 + 2 * SENT_FORGOTTEN_S)
    assert not one.sent.counts.any()

import pytest

from engine.ipc import orders, reports
from engine.storage.manifest import piece_hasher
from engine.worker.finish_piece import finish_piece
from engine.worker.local_file import LocalFile
from engine.worker.scratch import Scratch
from tests.engine.worker.conftest import CONTENT, PIECE_BYTES


@pytest.mark.parametrize("is_good", [True, False])
def test_parts_are_read_back_and_compared_with_the_leaf(local_file: LocalFile, is_good: bool) -> None:
    local_file.write(PIECE_BYTES, memoryview(CONTENT)[PIECE_BYTES:])
    if not is_good:
        local_file.write(PIECE_BYTES + 500, memoryview(b"wrong"))
    report = finish_piece(local_file, Scratch(), orders.CheckParts(1, 1), 0.0)
    assert report == reports.PartsChecked(1, 1, is_good)


def test_each_range_of_a_piece_is_hashed_by_itself(local_file: LocalFile) -> None:
    local_file.write(0, memoryview(CONTENT)[:PIECE_BYTES])
    ranges = ((0, 1000), (1000, PIECE_BYTES))
    report = finish_piece(local_file, Scratch(), orders.HashRanges(1, 0, ranges), 0.0)
    digests = [piece_hasher().update(CONTENT[begin:end]).digest() for begin, end in ranges]
    assert report == reports.RangesHashed(1, 0, digests)


def test_a_file_that_cannot_be_read_back_is_reported_as_that(local_file: LocalFile) -> None:
    def fail(piece: int, begin: int, end: int) -> bytes:
        raise OSError(5, "disk")

    local_file.digest_of = fail  # type: ignore[method-assign]
    for order in (orders.CheckParts(1, 0), orders.HashRanges(1, 0, ((0, 1),))):
        report = finish_piece(local_file, Scratch(), order, 0.0)
        assert isinstance(report, reports.FileUnreadable)
        assert (report.file_id, report.error_number) == (1, 5)

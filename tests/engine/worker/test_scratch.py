from engine.ipc import orders, reports
from engine.worker.local_file import LocalFile, Sink
from engine.worker.scratch import Scratch
from tests.engine.worker.conftest import CONTENT, PIECE_BYTES


def receive_duplicate(scratch: Scratch, file: LocalFile, request_id: int, link_id: int) -> Sink:
    scratch.expect(request_id, link_id)
    sink = scratch.sink_for(request_id, file, 0, 0)
    sink.write(memoryview(CONTENT)[:PIECE_BYTES])
    return sink


def test_a_duplicate_reaches_the_file_only_when_it_is_to_be_kept(local_file: LocalFile) -> None:
    scratch = Scratch()
    assert receive_duplicate(scratch, local_file, 5, 3).finish()
    assert not any(local_file.read(0, PIECE_BYTES))
    report = scratch.keep(orders.KeepScratch(3, 1, 5), 2.0)
    assert report == reports.PieceVerified(3, 1, 5, 0, 2.0)
    assert local_file.has_good(0)


def test_a_request_that_is_no_duplicate_is_written_at_once(local_file: LocalFile) -> None:
    scratch = Scratch()
    scratch.sink_for(5, local_file, 0, 0).write(memoryview(CONTENT)[:PIECE_BYTES])
    assert local_file.has_good(0)
    assert not scratch.is_for(5)


def test_duplicates_of_a_link_that_ended_are_forgotten_and_those_of_others_are_not(local_file: LocalFile) -> None:
    scratch = Scratch()
    receive_duplicate(scratch, local_file, 5, 3)
    receive_duplicate(scratch, local_file, 6, 4)
    scratch.forget_link(3)
    assert scratch.keep(orders.KeepScratch(3, 1, 5), 2.0) is None
    assert isinstance(scratch.keep(orders.KeepScratch(4, 1, 6), 2.0), reports.PieceVerified)


def test_a_duplicate_that_cannot_be_written_is_reported_as_that(local_file: LocalFile) -> None:
    scratch = Scratch()
    receive_duplicate(scratch, local_file, 5, 3)

    def fail(offset: int, block: memoryview) -> None:
        raise OSError(28, "full")

    local_file.write = fail  # type: ignore[method-assign]
    assert scratch.keep(orders.KeepScratch(3, 1, 5), 2.0) == reports.WriteFailed(1, 28)

"""What a worker reports of one fetch link, and how urgently."""

from typing import Any

import pytest

from engine.ipc import reports
from engine.worker.fetch_reports import FetchReports
from engine.worker.local_file import LocalFile
from engine.worker.scratch import Scratch


class FakeCoordinator:
    def __init__(self) -> None:
        self.at_once: list[reports.Report] = []
        self.soon: list[reports.Report] = []

    def send(self, report: reports.Report) -> None:
        self.at_once.append(report)

    def send_soon(self, report: reports.Report) -> None:
        self.soon.append(report)


class Scene:
    def __init__(self, files: dict[int, LocalFile]) -> None:
        self.coordinator, self.scratch, self.down = FakeCoordinator(), Scratch(), list[int]()
        coordinator: Any = self.coordinator
        self.listener = FetchReports(3, coordinator, files, self.scratch, self.down.append)


@pytest.mark.parametrize(
    ("pieces", "is_busy", "is_urgent"), [((0, 1), False, True), ((0,), False, False), ((0, 1), True, False)]
)
def test_a_have_wakes_the_coordinator_only_if_something_may_be_asked_because_of_it(
    local_file: LocalFile, pieces: tuple[int, ...], is_busy: bool, is_urgent: bool
) -> None:
    scene = Scene({1: local_file})
    local_file.have[0] = 1
    scene.listener.peer_has(1, pieces, is_busy=is_busy)
    heard = [reports.PeerHas(3, 1, pieces)]
    assert (scene.coordinator.at_once, scene.coordinator.soon) == ((heard, []) if is_urgent else ([], heard))


def test_the_end_of_a_link_is_reported_once_and_takes_its_duplicates_along() -> None:
    scene = Scene({})
    scene.scratch.expect(5, 3)
    scene.listener.link_down("hung_up", "closed by the peer")
    scene.listener.link_down("hung_up", "again")
    assert scene.coordinator.at_once == [reports.LinkDown(3, "hung_up", "closed by the peer")]
    assert scene.down == [3]
    assert not scene.scratch.is_for(5)


def test_bytes_for_a_file_that_is_gone_have_no_sink() -> None:
    assert Scene({}).listener.sink_for(5, 1, 0, 0) is None


def test_a_duplicate_a_whole_piece_and_a_wrong_one_are_reported_as_what_they_are() -> None:
    scene = Scene({})
    scene.scratch.expect(5, 3)
    for request_id, is_good in ((5, True), (6, True), (7, False)):
        scene.listener.received(request_id, 1, 0, is_good)
    kinds = [type(report) for report in scene.coordinator.at_once]
    assert kinds == [reports.ScratchReady, reports.PieceVerified, reports.PieceMismatched]

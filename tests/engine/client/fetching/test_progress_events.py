import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.client.events import DownloadEnded, DownloadProgressed
from engine.client.fetching import progress_events
from engine.client.fetching.progress_events import ProgressEvents
from engine.client.subscribers import Subscribers
from engine.coordinator.download.progress import Progress
from engine.reports import DownloadState, DownloadStatus, Event


class FakeDownload:
    """As much of a download as is told of."""

    def __init__(self, file_id: int) -> None:
        self.wanted = SimpleNamespace(file_id=file_id)
        self.progress = Progress(0.0)

    @property
    def state(self) -> DownloadState:
        return self.progress.state

    @property
    def is_active(self) -> bool:
        return self.state not in ("complete", "failed", "cancelled", "paused")


def fake_status(download: FakeDownload) -> DownloadStatus:
    done_bytes = download.progress.verified_bytes
    return DownloadStatus("lab", "a.bin", str(Path("/a.bin")), download.state, 100, done_bytes, 0.0, 0, {}, 0.0)


class Scene:
    def __init__(self) -> None:
        self.subscribers = Subscribers()
        self.heard: list[Event] = []
        self.leave = self.subscribers.subscribe(self.heard.append)
        self.events = ProgressEvents(self.subscribers)
        self.download = FakeDownload(1)
        self.events.watch(cast(Any, self.download))

    def states(self) -> list[str]:
        return [event.status.state for event in self.heard if isinstance(event, DownloadProgressed | DownloadEnded)]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(progress_events, "status_of", fake_status)
    monkeypatch.setattr(progress_events, "_EVERY_S", 0.01)
    return Scene()


async def until_heard(scene: Scene, count: int) -> None:
    async with asyncio.timeout(10):
        while len(scene.heard) < count:
            await asyncio.sleep(0.001)


async def test_another_state_is_told_at_once(scene: Scene) -> None:
    scene.download.progress.enter("downloading", 1.0)
    await asyncio.sleep(0)
    assert scene.states() == ["downloading"]
    scene.download.progress.enter("waiting", 2.0)
    await asyncio.sleep(0)
    assert scene.states() == ["downloading", "waiting"]


async def test_progress_of_a_moment_is_told_together(scene: Scene) -> None:
    for done_bytes in range(50):
        scene.download.progress.verified_bytes = done_bytes
        scene.download.progress.tick(float(done_bytes))
    await until_heard(scene, 1)
    assert [event.status.verified_bytes for event in scene.heard if isinstance(event, DownloadProgressed)] == [49]


async def test_what_is_read_of_the_disk_is_told_too(scene: Scene) -> None:
    scene.download.progress.has_checked(10, 100)
    await until_heard(scene, 1)
    assert scene.states() == ["checking"]


async def test_the_end_is_the_last_that_is_told(scene: Scene) -> None:
    scene.download.progress.enter("downloading", 1.0)
    scene.download.progress.tick(1.0)
    scene.download.progress.enter("complete", 2.0)
    scene.events.ended(cast(Any, scene.download))
    scene.download.progress.tick(3.0)
    await asyncio.sleep(0.03)
    assert scene.heard == [DownloadEnded(fake_status(scene.download))]


async def test_nothing_is_prepared_while_nobody_listens(scene: Scene) -> None:
    scene.leave()
    scene.download.progress.enter("downloading", 1.0)
    scene.download.progress.tick(1.0)
    scene.events.ended(cast(Any, scene.download))
    assert scene.heard == []
    assert scene.events._told == {}

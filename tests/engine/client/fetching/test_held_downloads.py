"""Downloads that do not run: what is shown of each, which are tried again, and that none is after it was dropped."""

import asyncio
from pathlib import Path

import pytest

from engine.client.events import Event
from engine.client.fetching import held_downloads
from engine.client.fetching.held_downloads import HeldDownloads
from engine.errors import LocalError, RefusedByTracker, ShoalError, TrackerUnavailable
from engine.storage.ledger import StartedDownload
from tests.testkit.builders import geometry_of

GEOMETRY = geometry_of(3)


class Scene:
    """`outcomes`: what each attempt to resume raises; after the last it goes on."""

    def __init__(self, folder: Path) -> None:
        self.begun = StartedDownload("lab", "a.bin", str(folder / "a.bin"), bytes(32), GEOMETRY, has_part=True)
        self.outcomes: list[ShoalError] = []
        self.notices: list[str] = []
        self.attempts = 0
        self.changed = asyncio.Event()
        self.held = HeldDownloads(self._resume, self._tell)

    async def _resume(self, begun: StartedDownload) -> None:
        self.attempts += 1
        if self.outcomes:
            raise self.outcomes.pop(0)
        self.held.drop(begun.key)

    def _tell(self, event: Event) -> None:
        assert "a.bin" in str(event)
        self.notices.append(event.code)
        self.changed.set()

    async def wait_notice(self) -> None:
        async with asyncio.timeout(10):
            await self.changed.wait()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(held_downloads, "_TRY_AGAIN_S", 0.002)
    return Scene(tmp_path)


async def nothing_goes_on() -> None:
    """The test's own task is the only one left."""
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("not_member", "failed"), ("no_folder", "stuck"), ("part_gone", "stuck"), ("target_exists", "stuck"),
        ("no_such_file", "stuck"), ("other_content", "stuck"), ("tracker_unavailable", "paused"),
        ("no_space", "paused"),
    ],
)  # fmt: skip
async def test_each_is_shown_with_its_state_and_reason(scene: Scene, code: str, state: str) -> None:
    scene.held.keep(scene.begun, LocalError("because", code))
    (shown,) = scene.held.statuses()
    assert (shown.state, shown.error, shown.error_code, shown.path) == (state, "because", code, scene.begun.target)
    assert (shown.size_bytes, shown.verified_bytes) == (GEOMETRY.size_bytes, 0)
    assert scene.held.find(scene.begun.key) == scene.begun
    await scene.held.clear()
    assert scene.held.statuses() == []


async def test_what_waiting_mends_is_tried_again_until_it_goes_on(scene: Scene) -> None:
    scene.outcomes = [TrackerUnavailable("still not"), TrackerUnavailable("nor now")]
    scene.held.keep(scene.begun, TrackerUnavailable("no tracker answers"))
    await scene.wait_notice()
    assert (scene.attempts, scene.notices) == (3, ["download_resumed"])
    assert scene.held.statuses() == []


async def test_a_disk_that_comes_back_is_noticed(scene: Scene) -> None:
    scene.outcomes = [LocalError("mounted, but empty", "part_gone")]
    scene.held.keep(scene.begun, LocalError("away", "no_folder"))
    await scene.wait_notice()
    assert (scene.attempts, scene.notices) == (2, ["download_resumed"])


async def test_what_comes_to_be_the_users_turn_is_said_and_not_tried_again(scene: Scene) -> None:
    scene.outcomes = [LocalError("another file is there", "target_exists")]
    scene.held.keep(scene.begun, TrackerUnavailable("no tracker answers"))
    await scene.wait_notice()
    await nothing_goes_on()
    assert (scene.attempts, scene.notices) == (1, ["download_stuck"])
    assert [shown.state for shown in scene.held.statuses()] == ["stuck"]


async def test_nobody_asks_for_what_a_member_only_gets(scene: Scene) -> None:
    scene.held.keep(scene.begun, RefusedByTracker("you are not a member of lab", "not_member"))
    assert scene.held.is_shut_out(scene.begun.key)
    await nothing_goes_on()


async def test_what_is_dropped_is_not_tried_again(scene: Scene) -> None:
    scene.held.keep(scene.begun, TrackerUnavailable("no tracker answers"))
    scene.held.drop(scene.begun.key)
    await nothing_goes_on()

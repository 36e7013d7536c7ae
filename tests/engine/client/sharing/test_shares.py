"""The life of a share: which state follows which, what is said, and what ends it."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from engine.client.chores import Chores
from engine.client.events import Event
from engine.client.sharing import share as one_share
from engine.client.sharing import share_reading, shares
from engine.client.sharing.shares import Shares
from engine.storage.ledger import Ledger, SharedFile
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry
from tests.engine.client.fakes import FakeCoordinator
from tests.engine.client.sharing.test_share_reading import FakeHashing
from tracker.protocol import requests

SIZE = 300_000


class FakeAnnouncer:
    def __init__(self) -> None:
        self.unknown: list[requests.Share] = []
        self.renewed: list[tuple[str, bytes]] = []

    async def renew(self, group_id: str, root: bytes) -> list[requests.Share]:
        self.renewed.append((group_id, root))
        return self.unknown


class Scene:
    """One file that is shared, and all around it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "data.bin"
        self.content = os.urandom(SIZE)
        self.path.write_bytes(self.content)
        self.ledger = Ledger(folder / "client.sqlite")
        self.coordinator, self.announcer = FakeCoordinator(), FakeAnnouncer()
        self.notices: list[tuple[str, str]] = []
        coordinator, session, announcer = cast(Any, self.coordinator), cast(Any, None), cast(Any, self.announcer)
        self.shares = Shares(self.ledger, coordinator, session, announcer, self._tell, Chores(self._tell))

    def _tell(self, event: Event) -> None:
        self.notices.append((event.code, str(event)))

    async def begin(self) -> "Scene":
        geometry = Geometry.of_size(SIZE)
        descriptor = os.open(self.path, os.O_RDONLY)
        leaves = await FakeHashing().hash_file(descriptor, geometry)
        os.close(descriptor)
        manifest = Manifest.of_leaves(geometry, leaves)
        self.ledger.remember(self.path, self.path.stat(), manifest)
        self.shares.resume("ann")
        await self.shares.settle(0.0)
        stamp = Stamp.of(self.path.stat())
        await self.shares.add(SharedFile("lab", "data.bin", str(self.path), manifest.root, geometry, stamp))
        return self

    @property
    def state(self) -> str:
        return next((share.state for share in self.shares.statuses()), "ended")

    @property
    def file_id(self) -> int:
        (number,) = self.coordinator.serving.served
        return number

    def said(self) -> list[str]:
        return [code for code, _ in self.notices]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                await asyncio.sleep(0.01)
                await self.shares.look()


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(share_reading, "SETTLE_S", 0.2)
    monkeypatch.setattr(share_reading, "_LOOK_S", 0.05)
    monkeypatch.setattr(one_share, "_LOOK_AGAIN_S", 0.05)
    scene = await Scene(tmp_path).begin()
    yield scene
    scene.shares.suspend()
    scene.ledger.close()


async def test_a_touch_suspends_it_until_it_was_read_and_the_new_marks_are_kept(scene: Scene) -> None:
    scene.coordinator.hash_jobs.may_read.clear()
    scene.path.touch()
    await scene.until(lambda: scene.state == "rereading")
    assert scene.coordinator.serving.served == {}
    assert scene.coordinator.serving.suspended, "whoever asks hears that it is read again"
    scene.coordinator.hash_jobs.may_read.set()
    await scene.until(lambda: scene.state == "served")
    assert scene.coordinator.serving.suspended == set()
    assert scene.ledger.shares_of("ann")[0].stamp == Stamp.of(scene.path.stat())
    assert scene.notices == [], "what takes a moment is not worth a word"


async def test_reading_that_takes_long_is_said_and_so_is_its_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_LONG_S", -1.0)
    scene.path.touch()
    await scene.until(lambda: scene.state == "rereading")
    await scene.until(lambda: scene.state == "served")
    assert scene.said() == ["share_rereading", "share_rechecked"]


async def test_what_is_away_is_known_said_once_and_served_when_it_is_back(scene: Scene) -> None:
    away = scene.path.with_name("away")
    os.link(scene.path, away)  # under no name that leads from what was open
    scene.path.unlink()
    await scene.until(lambda: scene.state == "missing")
    for _ in range(20):
        await scene.shares.look()
    assert scene.said() == ["share_missing"]
    assert scene.coordinator.serving.suspended == set(), "nobody is told to wait for it"
    assert [share.name for share in scene.ledger.shares_of("ann")] == ["data.bin"]
    away.rename(scene.path)
    await scene.until(lambda: scene.state == "served")
    assert scene.said() == ["share_missing", "share_back"]


async def test_what_is_away_is_looked_for_more_and_more_seldom(scene: Scene) -> None:
    share = next(iter(scene.shares._shares.values()))
    delays = []
    for _ in range(15):
        share.look_later()
        delays.append(share.delay_s)
    assert delays == sorted(delays)
    assert delays[-1] == one_share._LOOK_AGAIN_MAX_S


async def test_a_disk_that_cannot_read_it_is_said_and_it_is_tried_again(scene: Scene) -> None:
    scene.shares.broken(scene.file_id, errno.EIO, "input/output error")
    assert scene.state == "unreadable"
    assert scene.coordinator.serving.served == {}
    await scene.until(lambda: scene.state == "served")
    assert scene.said() == ["share_unreadable", "share_back"]


async def test_a_file_that_was_read_and_is_another_ends_it_and_its_hashes_are_forgotten(scene: Scene) -> None:
    scene.path.write_bytes(os.urandom(SIZE))
    await scene.until(lambda: scene.state == "ended")
    assert scene.said() == ["share_dropped"]
    assert scene.ledger.shares_of("ann") == []
    assert scene.announcer.renewed[-1][0] == "lab"


async def test_what_the_tracker_does_not_know_ends(scene: Scene) -> None:
    (file,) = scene.ledger.shares_of("ann")
    scene.shares.drop_unknown([requests.Share("lab", file.root, True)])
    assert scene.state == "ended"


async def test_a_piece_that_is_right_is_no_reason_to_stop(scene: Scene) -> None:
    await scene.shares.check_piece(scene.file_id, 1)
    assert (scene.state, scene.notices) == ("served", [])


async def test_a_piece_that_is_wrong_although_no_mark_moved_suspends_it_and_its_owner_hears(scene: Scene) -> None:
    status, number = scene.path.stat(), scene.file_id
    scene.path.write_bytes(os.urandom(SIZE))
    (share,) = scene.shares._shares.values()
    share.file = type(share.file)(
        "lab", "data.bin", str(scene.path), share.file.root, share.file.geometry, Stamp.of(scene.path.stat())
    )  # as if it had been written through a map
    assert status.st_size == SIZE
    await scene.shares.check_piece(number, 1)
    assert scene.state == "rereading"
    assert "is not what it was" in scene.notices[0][1]
    await scene.until(lambda: scene.state == "ended")
    assert scene.said() == ["share_wrong", "share_dropped"]


async def test_nothing_of_it_goes_on_after_a_logout(scene: Scene) -> None:
    scene.coordinator.hash_jobs.may_read.clear()
    scene.path.touch()
    await scene.until(lambda: scene.state == "rereading")
    scene.shares.suspend()
    scene.coordinator.hash_jobs.may_read.set()
    await asyncio.sleep(0.05)
    assert scene.shares.statuses() == []
    assert scene.coordinator.serving.served == {}
    scene.shares.resume("ann")
    await scene.shares.settle(5.0)
    assert scene.state == "served"

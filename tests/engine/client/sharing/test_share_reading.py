"""Whether a file is still what was shared: its content decides, whatever its marks and its name say."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.client.sharing import share_reading
from engine.client.sharing.share_reading import ShareReading, Verdict
from engine.storage.ledger import SharedFile
from engine.storage.manifest import Manifest, piece_hasher
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry

SIZE = 300_000


class FakeHashing:
    """Reads at once, and counts how often."""

    def __init__(self) -> None:
        self.count = 0
        self.meanwhile: Callable[[], object] = lambda: None

    async def hash_file(self, descriptor: int, geometry: Geometry, on_progress: object = None) -> bytes:
        self.count += 1
        leaves = b""
        for piece in range(geometry.piece_count):
            hasher = piece_hasher()
            hasher.update(os.pread(descriptor, geometry.length_of(piece), geometry.offset_of(piece)))
            leaves += hasher.digest()
        self.meanwhile()
        return leaves


class Scene:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "data.bin"
        self.content = os.urandom(SIZE)
        self.path.write_bytes(self.content)
        self.hashing = FakeHashing()
        coordinator: Any = SimpleNamespace(hash_jobs=self.hashing)
        self._reading = ShareReading(coordinator)
        self.descriptor = os.open(self.path, os.O_RDONLY)

    async def shared(self) -> "Scene":
        geometry = Geometry.of_size(SIZE)
        leaves = await FakeHashing().hash_file(self.descriptor, geometry)
        root = Manifest.of_leaves(geometry, leaves).root
        self.file = SharedFile("lab", "data.bin", str(self.path), root, geometry, Stamp.of(self.path.stat()))
        return self

    async def judge(self, *, must_read: bool = False) -> Verdict:
        async with asyncio.timeout(20):
            return await self._reading.examine(
                self.file, self.descriptor, lambda done, whole: None, must_read=must_read
            )


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(share_reading, "SETTLE_S", 0.3)
    monkeypatch.setattr(share_reading, "_LOOK_S", 0.05)
    return await Scene(tmp_path).shared()


async def test_a_file_that_carries_its_marks_is_not_read(scene: Scene) -> None:
    assert (await scene.judge()).state == "served"
    assert scene.hashing.count == 0


async def test_a_file_whose_marks_prove_nothing_is_read(scene: Scene) -> None:
    assert (await scene.judge(must_read=True)).state == "served"
    assert scene.hashing.count == 1


async def test_a_touched_file_is_read_once_and_served_with_its_new_marks(scene: Scene) -> None:
    scene.path.touch()
    assert await scene.judge() == Verdict("served", scene.path, Stamp.of(scene.path.stat()))
    assert scene.hashing.count == 1


async def test_a_file_is_found_where_it_was_moved_to(scene: Scene) -> None:
    moved = scene.path.rename(scene.path.with_name("elsewhere"))
    assert (await scene.judge()).path == moved
    scene.path.write_bytes(os.urandom(SIZE))
    verdict = await scene.judge()
    assert (verdict.state, verdict.path) == ("served", moved), "another file at the old place changes nothing"


async def test_a_file_that_is_not_there_is_missing(scene: Scene) -> None:
    scene.path.unlink()
    assert (await scene.judge()).state == "missing"
    scene.path.mkdir()
    assert (await scene.judge()).state == "missing"
    scene.path.rmdir()
    scene.path.parent.rename(scene.path.parent.with_name("away"))
    assert (await scene.judge()).state == "missing"


@pytest.mark.parametrize("content", [b"short", bytes(SIZE)])
async def test_another_content_is_a_change_once_nobody_writes(scene: Scene, content: bytes) -> None:
    scene.path.write_bytes(content)
    verdict = await scene.judge()
    assert (verdict.state, verdict.stamp) == ("changed", None)
    assert scene.hashing.count <= 1, "the same bytes are not read again and again"


async def test_a_file_that_is_being_written_is_waited_for(scene: Scene) -> None:
    os.truncate(scene.path, 0)
    judging = asyncio.create_task(scene.judge())
    for _ in range(10):
        await asyncio.sleep(0.1)
        os.utime(scene.path)
    assert not judging.done()
    scene.path.write_bytes(scene.content)
    assert (await judging).state == "served"


async def test_what_was_written_to_while_it_was_read_is_not_believed(scene: Scene) -> None:
    scene.path.touch()
    done: list[int] = []

    def touch_once() -> None:
        if not done:
            done.append(1)
            scene.path.touch()

    scene.hashing.meanwhile = touch_once
    assert await scene.judge() == Verdict("served", scene.path, Stamp.of(scene.path.stat()))
    assert scene.hashing.count == 2

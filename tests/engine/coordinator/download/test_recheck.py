"""What a resumed download believes, and what it reads again; nothing that is good on the disk is fetched twice."""

import os
from pathlib import Path

import pytest

from engine.coordinator.download.download import Download
from engine.coordinator.download.status import status_of
from engine.storage import file_names
from engine.storage.journal import Journal
from engine.storage.manifest import Manifest
from tests.engine.conftest import Node, World
from tests.engine.coordinator.test_transfer import until

MIB = 1 << 20
SIZE = 32 * MIB
IN_FLIGHT_MOST = 16
"""Pieces: eight are asked for, and more where a link's rate needs it."""


@pytest.fixture
async def sealed(world: World) -> World:
    if world.is_open:
        pytest.skip("the data channel makes no difference here")
    return world


class Scene:
    """A download that was paused in good order in its middle."""

    def __init__(self, leecher: Node, path: Path, manifest: Manifest, target: Path) -> None:
        self.leecher, self.path, self.manifest, self.target = leecher, path, manifest, target
        self.part = file_names.part_path(target, manifest.root)
        self.journal = file_names.journal_path(self.part)
        self.saved_bytes = 0

    async def pause_midway(self) -> None:
        before, _ = self.leecher.fetch(self.target, self.manifest)
        await until(lambda: before.verified_bytes >= SIZE // 4)
        await self.leecher.coordinator.stop()
        self.saved_bytes = before.verified_bytes
        saved = Journal(self.journal, self.manifest.root, self.manifest.geometry).load()
        assert saved is not None
        assert saved.is_clean
        self.leecher.coordinator.configure(self.leecher.member.identity)

    async def finish(self) -> Download:
        download, fetching = self.leecher.fetch(self.target, self.manifest)
        await fetching
        assert self.target.read_bytes() == self.path.read_bytes()
        return download

    def notices(self) -> list[str]:
        return [message for code, message in self.leecher.directory.notices if code == "rechecked"]


@pytest.fixture
async def scene(sealed: World) -> Scene:
    seeder, leecher = await sealed.node("seeder"), await sealed.node("leecher")
    path, manifest = await sealed.file("data.bin", SIZE, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    scene = Scene(leecher, path, manifest, sealed.folder / "copy.bin")
    await scene.pause_midway()
    return scene


def fetched_bytes(download: Download) -> int:
    return sum(status_of(download).bytes_by_peer.values())


async def test_after_a_clean_stop_the_journal_is_believed_and_only_a_sample_is_read(scene: Scene) -> None:
    download = await scene.finish()
    assert fetched_bytes(download) == SIZE - scene.saved_bytes
    assert download.progress.check_bytes == 0
    assert scene.notices() == []


async def test_after_a_crash_only_what_was_written_and_not_journaled_is_read(scene: Scene) -> None:
    manifest, geometry = scene.manifest, scene.manifest.geometry
    saved = Journal(scene.journal, manifest.root, geometry).load()
    assert saved is not None
    have, whole = saved.have(geometry.piece_count), scene.path.read_bytes()
    missing = [piece for piece in range(geometry.piece_count) if not have[piece]]
    with scene.part.open("r+b") as part:
        for number, piece in enumerate(missing[:6]):  # four pieces arrived after the last save, two only in part
            data = whole[geometry.offset_of(piece) :][: geometry.piece_bytes]
            os.pwrite(part.fileno(), data if number < 4 else data[:5000], geometry.offset_of(piece))
    journal = Journal(scene.journal, manifest.root, geometry)
    journal.load()
    journal.save(have, saved.mark, is_clean=False)
    journal.close()
    download = await scene.finish()
    # Some of what was in flight when it was paused may be whole on the disk as well.
    assert fetched_bytes(download) <= SIZE - scene.saved_bytes - 4 * geometry.piece_bytes
    assert 6 <= download.progress.check_bytes // geometry.piece_bytes <= 6 + IN_FLIGHT_MOST
    assert download.progress.check_bytes < scene.saved_bytes
    assert scene.notices() == []


async def test_a_part_file_that_was_edited_since_is_read_all_of_it(scene: Scene) -> None:
    journal = Journal(scene.journal, scene.manifest.root, scene.manifest.geometry)
    saved = journal.load()
    assert saved is not None
    first = int(saved.have(scene.manifest.geometry.piece_count).argmax())
    with scene.part.open("r+b") as part:
        os.pwrite(part.fileno(), b"edited", scene.manifest.geometry.offset_of(first))
    status = scene.part.stat()
    os.utime(scene.part, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))  # not in the same tick of the clock
    download = await scene.finish()
    # Nothing but the edited piece is fetched again; what was in flight at the pause may be whole on the disk as well.
    piece_bytes = scene.manifest.geometry.piece_bytes
    most = SIZE - scene.saved_bytes + piece_bytes
    assert most - IN_FLIGHT_MOST * piece_bytes <= fetched_bytes(download) <= most
    assert download.progress.check_bytes >= scene.saved_bytes
    assert "changed since" in scene.notices()[0]


async def test_data_that_does_not_match_its_journal_is_found_by_the_sample(scene: Scene) -> None:
    """With the old marks, as a disk that lies would leave it."""
    status = scene.part.stat()
    with scene.part.open("r+b") as part:
        part.write(os.urandom(SIZE))
    os.utime(scene.part, ns=(status.st_atime_ns, status.st_mtime_ns))
    download = await scene.finish()
    assert fetched_bytes(download) == SIZE
    assert "does not match its journal" in scene.notices()[0]


async def test_a_part_file_that_was_cut_is_read_and_the_rest_fetched(scene: Scene) -> None:
    os.truncate(scene.part, 2 * MIB)
    download = await scene.finish()
    assert fetched_bytes(download) >= SIZE - 2 * MIB
    assert "cut short" in scene.notices()[0]


async def test_another_file_in_its_place_is_read_not_believed(scene: Scene) -> None:
    other = scene.part.with_name("other")
    other.write_bytes(scene.path.read_bytes()[: SIZE // 2] + bytes(SIZE // 2))
    other.rename(scene.part)
    download = await scene.finish()
    assert fetched_bytes(download) == SIZE // 2
    assert "another file" in scene.notices()[0]


async def test_without_the_part_file_its_journal_means_nothing(scene: Scene) -> None:
    scene.part.unlink()
    download = await scene.finish()
    assert fetched_bytes(download) == SIZE


@pytest.mark.parametrize(("change", "word"), [
    ("delete", "deleted"), ("move", "moved away"), ("replace", "replaced"), ("cut", "cut short"),
])  # fmt: skip
async def test_a_part_file_that_is_touched_while_it_is_fetched_ends_the_download_with_words(
    scene: Scene, change: str, word: str
) -> None:
    scene.leecher.knows()  # nobody: it waits
    scene.leecher.directory.peers = []
    download, fetching = scene.leecher.fetch(scene.target, scene.manifest)
    await until(lambda: download.state == "waiting")
    if change == "delete":
        scene.part.unlink()
    elif change == "move":
        scene.part.rename(scene.part.with_name("elsewhere"))
    elif change == "replace":
        other = scene.part.with_name("other")
        other.write_bytes(b"mine")
        other.rename(scene.part)
    else:
        os.truncate(scene.part, 5)
    assert await fetching is None
    assert download.error is not None
    assert download.error.code == "part_gone"
    assert word in str(download.error)
    assert str(scene.part) in str(download.error)
    assert not scene.journal.exists()


async def test_a_download_can_be_paused_while_it_is_checked(scene: Scene) -> None:
    scene.journal.unlink()  # everything is read
    download, fetching = scene.leecher.fetch(scene.target, scene.manifest)
    assert status_of(download).state == "checking"
    await scene.leecher.coordinator.stop()
    assert fetching.cancelled()
    assert download.state == "paused"
    scene.leecher.coordinator.configure(scene.leecher.member.identity)
    await scene.finish()

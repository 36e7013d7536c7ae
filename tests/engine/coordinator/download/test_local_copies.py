"""What is on this disk already is copied and verified; of the downloads of one swarm one fetches, and nobody waits for
itself.
"""

import asyncio
import mmap
import os
from pathlib import Path

import pytest

from engine.coordinator.download.local_copies import copy_range
from engine.coordinator.download.status import status_of
from engine.storage.ledger import SharedFile
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from tests.engine.conftest import GROUP, Node, World
from tests.engine.coordinator.test_transfer import until

MIB = 1 << 20


@pytest.fixture
async def sealed(world: World) -> World:
    if world.is_open:
        pytest.skip("the data channel makes no difference here")
    return world


@pytest.fixture
async def alone(sealed: World) -> Node:
    """Nobody else is online."""
    return await sealed.node("alone")


def serve_in(node: Node, group_id: str, path: Path, manifest: Manifest) -> int:
    share = SharedFile(group_id, path.name, str(path), manifest.root, manifest.geometry, Stamp.of(path.stat()))
    return node.coordinator.serving.begin(share)


async def test_what_is_served_here_is_copied_although_nobody_is_online(sealed: World, alone: Node) -> None:
    path, manifest = await sealed.file("data.bin", 40 * MIB + 17, alone)
    alone.serve(path, manifest)
    download, fetching = alone.fetch(sealed.folder / "second.bin", manifest)
    assert await fetching is not None
    assert (sealed.folder / "second.bin").read_bytes() == path.read_bytes()
    shown = status_of(download)
    assert (shown.copied_from, shown.bytes_by_peer, shown.verified_bytes) == (str(path), {}, 40 * MIB + 17)


async def test_a_copy_from_another_group_is_as_good(sealed: World, alone: Node) -> None:
    path, manifest = await sealed.file("data.bin", 3 * MIB, alone)
    serve_in(alone, "another group", path, manifest)
    assert alone.coordinator.copies.holding(GROUP, manifest.root) is None
    download, fetching = alone.fetch(sealed.folder / "second.bin", manifest)
    assert alone.coordinator.copies.holding(GROUP, manifest.root) == (False, False)
    assert await fetching is not None
    assert status_of(download).copied_from == str(path)
    assert alone.coordinator.copies.holding(GROUP, manifest.root) == (True, True)


async def test_holes_of_the_copied_file_are_pieces_like_any_other(sealed: World, alone: Node) -> None:
    path = sealed.folder / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(5 * MIB)
        file.write(os.urandom(MIB))
    descriptor = os.open(path, os.O_RDONLY)
    _, shape = await sealed.file("shape.bin", 8 * MIB, alone)
    leaves = await alone.coordinator.hash_jobs.hash_file(descriptor, shape.geometry)
    os.close(descriptor)
    manifest = Manifest.of_leaves(shape.geometry, leaves)
    alone.serve(path, manifest)
    _, fetching = alone.fetch(sealed.folder / "second.bin", manifest)
    assert await fetching is not None
    assert (sealed.folder / "second.bin").read_bytes() == path.read_bytes()


async def test_a_file_that_comes_to_be_here_meanwhile_ends_the_waiting(sealed: World, alone: Node) -> None:
    path, manifest = await sealed.file("data.bin", 3 * MIB, alone)
    download, fetching = alone.fetch(sealed.folder / "second.bin", manifest)
    await until(lambda: download.state == "waiting")
    alone.serve(path, manifest)
    async with asyncio.timeout(10):
        assert await fetching is not None
    assert status_of(download).copied_from == str(path)


async def test_an_edited_copy_gives_what_is_still_right_and_the_rest_is_fetched(sealed: World) -> None:
    seeder, leecher = await sealed.node("seeder"), await sealed.node("leecher")
    path, manifest = await sealed.file("data.bin", 8 * MIB, seeder)
    seeder.serve(path, manifest)
    copy = sealed.folder / "mine.bin"
    copy.write_bytes(path.read_bytes())
    with copy.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:] = mapped[:]  # from here on the kernel takes stores without dating the file: its marks do not tell
        leecher.serve(copy, manifest)
        mapped[4 * MIB : 4 * MIB + 100] = os.urandom(100)
    leecher.knows(seeder)
    download, fetching = leecher.fetch(sealed.folder / "second.bin", manifest)
    async with asyncio.timeout(30):
        assert await fetching is not None
    assert (sealed.folder / "second.bin").read_bytes() == path.read_bytes()
    assert status_of(download).bytes_by_peer == {"seeder": manifest.geometry.piece_bytes}


async def test_a_file_with_other_marks_is_not_copied_from(sealed: World, alone: Node) -> None:
    path, manifest = await sealed.file("data.bin", MIB, alone)
    alone.serve(path, manifest)
    os.utime(path)
    download, _ = alone.fetch(sealed.folder / "second.bin", manifest)
    await until(lambda: download.state == "waiting")
    assert status_of(download).copied_from is None


async def test_the_second_name_of_a_swarm_follows_the_first_and_copies(sealed: World) -> None:
    seeder, leecher = await sealed.node("seeder"), await sealed.node("leecher")
    path, manifest = await sealed.file("data.bin", 32 * MIB, seeder)
    first, first_fetching = leecher.fetch(sealed.folder / "first.bin", manifest)
    second, second_fetching = leecher.fetch(sealed.folder / "second.bin", manifest)
    await until(lambda: first.state == "waiting")
    assert (second.state, status_of(second).copied_from) == ("following", str(first.wanted.target))
    seeder.serve(path, manifest)
    leecher.coordinator.peer_joined(GROUP, manifest.root, seeder.member.at(seeder.listener.port))
    async with asyncio.timeout(30):
        assert await first_fetching is not None
        assert await second_fetching is not None
    assert status_of(first).bytes_by_peer == {"seeder": 32 * MIB}
    assert status_of(second).bytes_by_peer == {}
    assert second.wanted.target.read_bytes() == path.read_bytes()


async def test_the_second_name_leads_when_the_first_is_given_up(sealed: World) -> None:
    seeder, leecher = await sealed.node("seeder"), await sealed.node("leecher")
    path, manifest = await sealed.file("data.bin", 3 * MIB, seeder)
    first, _ = leecher.fetch(sealed.folder / "first.bin", manifest)
    second, fetching = leecher.fetch(sealed.folder / "second.bin", manifest)
    third, third_fetching = leecher.fetch(sealed.folder / "third.bin", manifest)
    await until(lambda: first.state == "waiting")
    await leecher.coordinator.halt(first)
    await until(lambda: second.state == "waiting" and third.copied_from == str(second.wanted.target))
    assert leecher.coordinator.copies.holding(GROUP, manifest.root) == (False, False)
    assert (GROUP, manifest.root) in leecher.directory.changed
    seeder.serve(path, manifest)
    leecher.coordinator.peer_joined(GROUP, manifest.root, seeder.member.at(seeder.listener.port))
    async with asyncio.timeout(30):
        assert await fetching is not None
        assert await third_fetching is not None
    assert (status_of(second).bytes_by_peer, status_of(third).bytes_by_peer) == ({"seeder": 3 * MIB}, {})


async def test_giving_up_one_name_leaves_the_other_served(sealed: World) -> None:
    owner, asker = await sealed.node("owner"), await sealed.node("asker")
    path, manifest = await sealed.file("data.bin", 64 * MIB, owner)
    owner.serve(path, manifest)
    download, _ = owner.fetch(sealed.folder / "second.bin", manifest)
    await until(lambda: download.state == "copying" or not download.is_active)
    await owner.coordinator.halt(download)
    assert owner.coordinator.copies.holding(GROUP, manifest.root) == (True, True)
    asker.knows(owner)
    _, fetching = asker.fetch(sealed.folder / "third.bin", manifest)
    async with asyncio.timeout(30):
        assert await fetching is not None


async def test_a_copy_that_was_broken_off_goes_on_and_is_right(sealed: World, alone: Node) -> None:
    path, manifest = await sealed.file("data.bin", 64 * MIB, alone)
    number = alone.serve(path, manifest)
    download, _ = alone.fetch(sealed.folder / "second.bin", manifest)
    await until(lambda: download.progress.checked_bytes > 0 or not download.is_active)
    await alone.coordinator.stop()
    alone.coordinator.configure(alone.member.identity)
    assert number not in alone.coordinator.serving
    if download.state == "paused":
        alone.serve(path, manifest)
        _, fetching = alone.fetch(sealed.folder / "second.bin", manifest)
        assert await fetching is not None
    assert (sealed.folder / "second.bin").read_bytes() == path.read_bytes()


async def test_the_first_piece_to_serve_is_said_once(sealed: World) -> None:
    origin, leecher = await sealed.node("origin"), await sealed.node("leecher")
    path, manifest = await sealed.file("data.bin", 64 * MIB, origin)
    download, _ = leecher.fetch(sealed.folder / "copy.bin", manifest)
    await until(lambda: download.state == "waiting")
    assert leecher.directory.changed == []
    origin.serve(path, manifest)
    leecher.coordinator.peer_joined(GROUP, manifest.root, origin.member.at(origin.listener.port))
    await until(lambda: download.verified_bytes >= 8 * MIB)
    await origin.coordinator.stop()
    await until(lambda: bool(leecher.directory.changed))
    await until(lambda: download.state == "waiting")
    assert leecher.directory.changed == [(GROUP, manifest.root)]
    assert leecher.coordinator.copies.holding(GROUP, manifest.root) == (False, True)


def test_a_range_is_copied_by_hand_where_the_kernel_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(18, "not across file systems")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    (tmp_path / "source").write_bytes(content := os.urandom(3 * MIB + 5))
    (tmp_path / "target").touch()
    source, target = os.open(tmp_path / "source", os.O_RDONLY), os.open(tmp_path / "target", os.O_RDWR)
    copy_range(source, target, 0, 5 * MIB)  # it is shorter than was said: that is no error
    assert (tmp_path / "target").read_bytes() == content
    os.close(source)
    os.close(target)

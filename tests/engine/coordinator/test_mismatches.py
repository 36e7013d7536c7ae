"""A server is told which piece of it did not match, and looks at its own copy, complete or not."""

import asyncio
import os
from collections.abc import Callable

import numpy as np

from engine.coordinator.download.status import connected_peers
from tests.engine.conftest import World
from tests.testkit.builders import MIB


async def until(is_true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_true():
            await asyncio.sleep(0.002)


async def test_who_served_a_wrong_piece_is_told_which_and_asked_for_no_other(world: World) -> None:
    honest, wrong, leecher = [await world.node(name) for name in ("honest", "wrong", "leecher")]
    path, manifest = await world.file("data.bin", 4 * MIB, honest)
    copy = world.folder / "wrong.bin"
    copy.write_bytes(path.read_bytes()[:MIB] + os.urandom(3 * MIB))
    wrong.serve(copy, manifest)
    leecher.knows(wrong)
    download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: bool(wrong.directory.checked))
    ((_, piece),) = wrong.directory.checked
    assert piece * manifest.geometry.piece_bytes >= MIB
    honest.serve(path, manifest)
    leecher.knows(honest)
    leecher.coordinator.peer_joined(download.wanted.group_id, manifest.root, honest.member.at(honest.listener.port))
    async with asyncio.timeout(30):
        assert await fetching is not None
    assert (world.folder / "copy.bin").read_bytes() == path.read_bytes()
    assert set(download.peer_book._banned_until_s) == {"wrong"}, "it did not own up"
    assert len(wrong.directory.checked) == 1


async def test_a_part_file_that_somebody_changed_is_read_again_and_made_good(world: World) -> None:
    seeder, middle, last = [await world.node(name) for name in ("seeder", "middle", "last")]
    path, manifest = await world.file("data.bin", 16 * MIB, seeder)
    seeder.serve(path, manifest)
    middle.knows(seeder)
    download, fetching = middle.fetch(world.folder / "middle.bin", manifest)
    await until(lambda: download.verified_bytes > MIB)
    await seeder.coordinator.stop()
    await until(lambda: not connected_peers(download, 0.0))
    begin = manifest.geometry.offset_of(int(np.flatnonzero(download.store.shared.have)[0]))
    with download.store.part.open("r+b") as part:
        part.seek(begin)
        part.write(os.urandom(1000))
    last.knows(middle)
    other, other_fetching = last.fetch(world.folder / "last.bin", manifest)
    await until(lambda: "part_changed" in {code for code, _ in middle.directory.notices})
    await until(lambda: "peer_pardoned" in {code for code, _ in last.directory.notices}, 5.0)
    seeder.coordinator.configure(seeder.member.identity)
    seeder.serve(path, manifest)
    for node, waiting in ((middle, download), (last, other)):
        node.coordinator.peer_joined(waiting.wanted.group_id, manifest.root, seeder.member.at(seeder.listener.port))
    async with asyncio.timeout(30):
        assert await fetching is not None
        assert await other_fetching is not None
    for name in ("middle.bin", "last.bin"):
        assert (world.folder / name).read_bytes() == path.read_bytes()

"""Full, failing and limited file systems: what is said, what waits, what goes on by itself."""

import asyncio
import errno
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.coordinator.download.status import status_of
from engine.errors import StorageError
from engine.settings import Settings
from engine.storage import part_file
from engine.storage.disk_errors import explained
from engine.storage.file_names import target_of
from engine.storage.part_file import PartFiles
from tests.engine.conftest import GROUP, Node, World
from tests.engine.coordinator.test_transfer import until
from tests.testkit.limited_disk import limited_disk

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """64 MiB of ext2, which cannot reserve space."""
    folder = tmp_path / "limited"
    folder.mkdir()
    try:
        limited = limited_disk(folder, 64 * MIB)
        mount = limited.__enter__()
    except OSError as error:
        pytest.skip(str(error))
    try:
        yield mount
    finally:
        limited.__exit__(None, None, None)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, is_open=True)
    yield world
    for node in world.nodes:
        node.listener.close()
        await node.coordinator.close()


def free_bytes(disk: Path) -> int:
    space = os.statvfs(disk)
    return space.f_bavail * space.f_frsize


def fill(disk: Path, leave_bytes: int) -> Path:
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, free_bytes(disk) - leave_bytes)))
    return filler


def codes(node: Node) -> list[str]:
    return [code for code, _ in node.directory.notices]


async def test_all_downloads_on_a_full_disk_wait_and_go_on_by_themselves(world: World, disk: Path) -> None:
    seeder = await world.node("seeder")
    leecher = await world.node("leecher", Settings(workers=2, space_reserve_bytes=0))
    files = [await world.file(f"data{number}.bin", 20 * MIB, seeder) for number in range(2)]
    for path, manifest in files:
        seeder.serve(path, manifest)
    begun = [leecher.fetch(disk / path.name, manifest) for path, manifest in files]
    await until(lambda: all(download.state == "waiting" for download, _ in begun))
    filler = fill(disk, 12 * MIB)
    leecher.knows(seeder)
    for _, manifest in files:
        leecher.coordinator.peer_joined(GROUP, manifest.root, seeder.member.at(seeder.listener.port))
    await until(lambda: all(download.state == "no_space" for download, _ in begun))
    assert codes(leecher).count("no_space") == 2
    for download, _ in begun:
        error = status_of(download).error
        assert error is not None
        assert str(download.store.part) in error
    filler.unlink()
    async with asyncio.timeout(30):
        await asyncio.gather(*(fetching for _, fetching in begun))
    for (download, _), (path, manifest) in zip(begun, files, strict=True):
        assert (disk / path.name).read_bytes() == path.read_bytes()
        again = sum(status_of(download).bytes_by_peer.values()) - 20 * MIB
        assert again <= 16 * manifest.geometry.piece_bytes
    assert codes(leecher).count("space_back") == 2


async def test_a_download_that_waits_for_space_can_be_cancelled_and_leaves_nothing(world: World, disk: Path) -> None:
    seeder = await world.node("seeder")
    leecher = await world.node("leecher", Settings(workers=2, space_reserve_bytes=0))
    path, manifest = await world.file("data.bin", 20 * MIB, seeder)
    seeder.serve(path, manifest)
    download, _ = leecher.fetch(disk / "data.bin", manifest)
    await until(lambda: download.state == "waiting")
    filler = fill(disk, 5 * MIB)
    leecher.coordinator.peer_joined(GROUP, manifest.root, seeder.member.at(seeder.listener.port))
    await until(lambda: download.state == "no_space")
    await leecher.coordinator.halt(download)
    part_file.remove(download.store.part, is_expected=True, saved=None)
    filler.unlink()
    assert sorted(os.listdir(disk)) == ["lost+found"]


async def test_one_that_does_not_fit_is_refused_at_once_with_needed_and_free(world: World, disk: Path) -> None:
    seeder = await world.node("seeder", Settings(workers=2, space_reserve_bytes=0))
    _, manifest = await world.file("data.bin", 80 * MIB, seeder)
    with pytest.raises(StorageError) as refusal:
        seeder.fetch(disk / "data.bin", manifest)
    assert refusal.value.code == "no_space"
    assert f"{80 * MIB:,} bytes are needed" in str(refusal.value)
    assert f"{free_bytes(disk):,} are free" in str(refusal.value)
    assert sorted(os.listdir(disk)) == ["lost+found"]


def test_a_read_only_disk_is_said_to_be_one(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StorageError, match="read-only") as refusal:
        PartFiles(0).open(disk / ".data.part", 1000)
    assert refusal.value.code == "read_only"


async def test_a_download_onto_a_read_only_disk_is_refused_with_words(world: World, disk: Path) -> None:
    node = await world.node("node")
    _, manifest = await world.file("data.bin", MIB, node)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StorageError, match="read-only"):
        node.fetch(disk / "data.bin", manifest)


def test_a_name_that_is_too_long_is_said_to_be_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long") as refusal:
        target_of(tmp_path / ("n" * 300), "data.bin")
    assert refusal.value.code == "bad_name"
    assert len(str(refusal.value)) < 300


def test_a_file_above_the_limit_of_the_process_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * MIB, hard))
    try:
        with pytest.raises(StorageError, match="ulimit -f") as refusal:
            PartFiles(0).open(tmp_path / ".data.part", 16 * MIB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.code == "too_large"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "no_space"), (errno.EDQUOT, "no_space"), (errno.EIO, "disk_failed"), (errno.EROFS, "read_only"),
        (errno.EACCES, "permission"), (errno.ENAMETOOLONG, "bad_name"), (errno.ENOENT, "gone"), (9999, "storage"),
    ],
)  # fmt: skip
def test_every_error_of_a_disk_names_the_path_and_what_to_do(number: int, code: str) -> None:
    error = explained(OSError(number, os.strerror(number)), "write", "/data/.file.part")
    assert error.code == code
    assert str(error).startswith("cannot write /data/.file.part: ")

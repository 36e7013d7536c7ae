"""What can be shared, what is there already, and how much of it was read: looked at before, while and after it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from engine.client.sharing import uploads
from engine.coordinator.coordinator import Coordinator
from engine.errors import ShoalError, StorageError
from engine.storage.ledger import Ledger
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry


class FakePool:
    """Hashes nothing: what is to happen meanwhile happens, and every piece is zeros."""

    def __init__(self, meanwhile: Callable[[], object] = bool) -> None:
        self._meanwhile = meanwhile
        self.hash_jobs = self

    async def hash_file(self, descriptor: int, geometry: Geometry, on_progress: object = None) -> bytes:
        size_bytes = os.fstat(descriptor).st_size
        self._meanwhile()
        if os.fstat(descriptor).st_size < size_bytes:
            raise StorageError("cannot read the file: it became shorter while it was read")
        return bytes(32 * geometry.piece_count)


class FakeLedger:
    def __init__(self) -> None:
        self.known: dict[Path, Manifest] = {}

    def recall(self, path: Path, status: os.stat_result) -> Manifest | None:
        return self.known.get(path)

    def remember(self, path: Path, status: os.stat_result, manifest: Manifest) -> None:
        self.known[path] = manifest


async def describe(path: Path, pool: FakePool, ledger: FakeLedger) -> Manifest:
    _, manifest = await uploads.describe(path, "lab", cast(Coordinator, pool), cast(Ledger, ledger), None)
    return manifest


async def compare(path: Path, manifest: Manifest, pool: FakePool) -> Stamp | None:
    return await uploads.is_this_file(path, manifest, cast(Coordinator, pool), None)


def zeros(size_bytes: int) -> Manifest:
    geometry = Geometry.of_size(size_bytes)
    return Manifest.of_leaves(geometry, bytes(32 * geometry.piece_count))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(b"x" * 1000)
    return path


async def test_a_file_that_holds_still_is_described_and_remembered(file: Path) -> None:
    ledger = FakeLedger()
    assert (await describe(file, FakePool(), ledger)).root == zeros(1000).root
    assert file in ledger.known


@pytest.mark.parametrize("size_bytes", [0, 1, 999, 1001, 1 << 20])
async def test_a_file_that_grows_or_shrinks_while_it_is_read_is_refused(file: Path, size_bytes: int) -> None:
    ledger = FakeLedger()
    with pytest.raises(StorageError, match="changed while it was read") as refusal:
        await describe(file, FakePool(lambda: os.truncate(file, size_bytes)), ledger)
    assert refusal.value.code == "file_changed"
    assert ledger.known == {}


@pytest.mark.parametrize("path", ["/proc/cpuinfo", "/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled"])
async def test_a_file_whose_size_lies_is_refused(path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"there is no {path} here")
    ledger = FakeLedger()
    ledger.known[Path(path)] = zeros(os.stat(path).st_size)  # of an earlier version, which believed the size
    with pytest.raises(StorageError, match="does not end where its size says") as refusal:
        await describe(Path(path), FakePool(), ledger)
    assert refusal.value.code == "wrong_size"
    assert await compare(Path(path), zeros(os.stat(path).st_size), FakePool()) is None


@pytest.mark.parametrize(
    ("kind", "word"), [("folder", "a folder"), ("pipe", "a named pipe"), ("device", "a device"), ("nothing", "no file")]
)
async def test_only_files_can_be_shared(kind: str, word: str, tmp_path: Path) -> None:
    path = Path("/dev/null") if kind == "device" else tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(StorageError, match=word):
        await describe(path, FakePool(), FakeLedger())


async def test_a_link_that_leads_nowhere_is_named_as_that(tmp_path: Path) -> None:
    (tmp_path / "it").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="symbolic link that leads nowhere"):
        await describe(tmp_path / "it", FakePool(), FakeLedger())


@pytest.mark.parametrize(
    ("kind", "word"),
    [("folder", "a folder"), ("pipe", "a named pipe"), ("link", "a symbolic link"), ("dangling", "a symbolic link")],
)
async def test_what_stands_at_the_destination_is_named_and_nothing_is_said_of_sharing(
    kind: str, word: str, file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(file if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(StorageError, match=f"there is {word} at .*choose another destination") as refusal:
        await compare(path, zeros(1000), FakePool())
    assert refusal.value.code == "target_exists"
    assert "share" not in str(refusal.value)


async def test_what_is_there_already_is_known_by_its_content_alone(file: Path) -> None:
    assert await compare(file, zeros(1000), FakePool()) == Stamp.of(file.stat())
    assert await compare(file, zeros(999), FakePool()) is None
    assert await compare(file, zeros(1000), FakePool(lambda: os.truncate(file, 2000))) is None


@pytest.mark.parametrize("path", ["/data/\udcff/data.bin", "/data/\udcff"])
def test_a_path_that_is_not_utf8_is_refused(path: str) -> None:
    with pytest.raises(ShoalError, match=r"not (valid )?UTF-8"):
        uploads.name_of(Path(path))


def test_the_kind_of_everything_has_a_name() -> None:
    kinds = {uploads._kind_of(mode) for mode in (stat.S_IFSOCK, stat.S_IFBLK, stat.S_IFCHR, 0)}
    assert kinds == {"a socket", "a device", "something that is no file"}
    assert uploads._kind_of(stat.S_IFREG) is None


def test_what_was_read_is_counted_and_passed_on() -> None:
    heard: list[tuple[int, int]] = []
    reading = uploads.Reading(lambda done, total: heard.append((done, total)))
    assert reading.done_bytes == 0
    reading.progressed(50, 100)
    reading.progressed(100, 100)
    assert heard == [(50, 100), (100, 100)]
    assert reading.done_bytes == 100

"""The part file: reserved, locked, and nothing else than a regular file of our own."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.errors import StorageError
from engine.storage import allocation, file_names, part_file
from engine.storage.journal import Journal, Mark
from engine.storage.part_file import PartFiles
from engine.swarm.geometry import Geometry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".file.part"


def open_part(path: Path, size_bytes: int, reserve_bytes: int) -> int:
    return PartFiles(reserve_bytes).open(path, size_bytes)


def refused(path: Path, size_bytes: int = 10, reserve_bytes: int = 0) -> StorageError:
    with pytest.raises(StorageError) as refusal:
        open_part(path, size_bytes, reserve_bytes)
    return refusal.value


def with_free(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    space = SimpleNamespace(f_bavail=free_bytes // 512, f_frsize=512)
    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: space)


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 1_000_003])
def test_a_part_file_is_as_long_as_the_file_and_backed_by_space(path: Path, size_bytes: int) -> None:
    descriptor = open_part(path, size_bytes, 0)
    status = os.fstat(descriptor)
    os.close(descriptor)
    assert status.st_size == size_bytes
    assert status.st_blocks * 512 >= size_bytes


def test_what_is_there_is_kept(path: Path) -> None:
    path.write_bytes(b"fetched yesterday")
    descriptor = open_part(path, 1000, 0)
    assert os.pread(descriptor, 17, 0) == b"fetched yesterday"
    assert os.pread(descriptor, 1000, 17) == bytes(983)
    os.close(descriptor)


def test_a_longer_file_is_cut(path: Path) -> None:
    path.write_bytes(bytes(5000))
    os.close(open_part(path, 1000, 0))
    assert path.stat().st_size == 1000
    os.close(open_part(path, 0, 0))
    assert path.stat().st_size == 0


def test_too_little_space_is_refused_with_numbers_and_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_free(monkeypatch, 1024 * 1024)
    refusal = refused(path, 1_000_000, 500_000)
    assert refusal.code == "no_space"
    for number in ("1,000,000", "500,000", "1,048,576"):
        assert number in str(refusal)
    assert not path.exists()


def test_the_reserve_stays_free_to_the_byte(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 1024 * 1024)
    assert refused(path, 1024 * 1024, 1).code == "no_space"
    os.close(open_part(path, 1024 * 1024, 0))


def test_space_that_is_reserved_already_is_not_asked_for_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(open_part(path, 1024 * 1024, 0))
    with_free(monkeypatch, 0)
    os.close(open_part(path, 1024 * 1024, 1 << 30))


def test_data_is_kept_when_there_is_no_space_for_the_rest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(open_part(path, 8192, 0))
    with_free(monkeypatch, 0)
    assert refused(path, 1024 * 1024).code == "no_space"
    assert path.stat().st_size == 8192


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_meanwhile_is_said_so_and_nothing_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: int) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("engine.storage.part_file.allocate", full)
    refusal = refused(path)
    assert refusal.code == "no_space"
    assert str(path) in str(refusal)
    assert not path.exists()


@pytest.fixture
def unbacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot reserve."""
    monkeypatch.setattr(allocation, "_fallocate", None)


def test_a_file_system_that_cannot_reserve_gets_a_file_of_the_right_length(path: Path, unbacked: None) -> None:
    os.close(open_part(path, 12_345_678, 0))
    assert path.stat().st_size == 12_345_678
    assert path.stat().st_blocks * 512 < 1_000_000


def test_two_downloads_do_not_both_start_into_the_same_last_gigabyte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbacked: None
) -> None:
    with_free(monkeypatch, 1 << 30)
    files = PartFiles(0)
    first = files.open(tmp_path / ".one.part", 700 << 20)
    with pytest.raises(StorageError, match="for other downloads") as refusal:
        files.open(tmp_path / ".two.part", 700 << 20)
    assert refusal.value.code == "no_space"
    assert not (tmp_path / ".two.part").exists()
    files.close(first)
    files.close(files.open(tmp_path / ".two.part", 700 << 20))


def test_of_two_that_wait_for_space_each_goes_on_when_there_is_enough_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbacked: None
) -> None:
    with_free(monkeypatch, 1 << 30)
    files = PartFiles(0)
    first, second = [files.open(tmp_path / name, 400 << 20) for name in (".one.part", ".two.part")]
    for each in (first, second):
        files.wait_for_room(each)
    with_free(monkeypatch, 300 << 20)
    assert not files.can_go_on(first)
    with_free(monkeypatch, 500 << 20)
    assert files.can_go_on(first)
    assert not files.can_go_on(second)  # the first one's again
    files.close(first)
    assert files.can_go_on(second)
    files.close(second)


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for target in (victim, tmp_path / "to_be_created"):
        path.symlink_to(target)
        assert str(path) in str(refused(path, 0))
        path.unlink()
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "to_be_created").exists()


def test_anything_but_a_regular_file_is_refused(path: Path) -> None:
    path.mkdir()
    refused(path)
    path.rmdir()
    os.mkfifo(path)
    assert refused(path).code == "target_exists"


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere" / ".file.part")


def test_a_second_download_into_the_same_part_file_is_refused_until_the_first_ends(path: Path) -> None:
    first = open_part(path, 1000, 0)
    assert refused(path, 10).code == "target_busy"
    assert path.stat().st_size == 1000  # the second one changed nothing
    os.close(first)
    os.close(open_part(path, 1000, 0))


def test_a_refusal_leaks_no_descriptor(path: Path) -> None:
    holder = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        refused(path)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(holder)


def test_what_was_fetched_is_removed_with_its_journal(tmp_path: Path) -> None:
    part = tmp_path / ".a.part"
    part.touch()
    file_names.journal_path(part).touch()
    part_file.remove(part, is_expected=True, saved=None)
    assert os.listdir(tmp_path) == []


def test_a_journal_without_its_part_file_is_removed_and_no_disk_is_away(tmp_path: Path) -> None:
    file_names.journal_path(tmp_path / ".a.part").touch()
    part_file.remove(tmp_path / ".a.part", is_expected=True, saved=None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("folder", [".", "no such folder"])
def test_what_should_be_there_and_is_not_is_said_with_its_path(tmp_path: Path, folder: str) -> None:
    part = tmp_path / folder / ".a.part"
    part_file.remove(part, is_expected=False, saved=None)
    with pytest.raises(StorageError, match="when it is back") as refusal:
        part_file.remove(part, is_expected=True, saved=None)
    assert str(part) in str(refusal.value)


def test_a_part_file_that_another_client_writes_into_is_left_to_it(tmp_path: Path) -> None:
    part, others = tmp_path / ".a.part", PartFiles(0)
    descriptor = others.open(part, 1000)
    with pytest.raises(StorageError) as refusal:
        part_file.remove(part, is_expected=True, saved=None)
    assert (refusal.value.code, part.exists()) == ("target_busy", True)
    others.close(descriptor)


def test_what_is_in_the_place_of_a_part_file_is_left_and_said(tmp_path: Path) -> None:
    part = tmp_path / ".a.part"
    part.mkdir()
    with pytest.raises(StorageError, match=r"there is a (folder|symbolic link) at .*, where the part file belongs"):
        part_file.remove(part, is_expected=True, saved=None)
    (tmp_path / "other").write_bytes(b"mine")
    link = tmp_path / ".b.part"
    link.symlink_to(tmp_path / "other")
    with pytest.raises(StorageError, match=r"there is a (folder|symbolic link) at .*, where the part file belongs"):
        part_file.remove(link, is_expected=True, saved=None)
    assert (tmp_path / "other").read_bytes() == b"mine"


def test_nothing_that_is_not_the_part_file_is_removed(tmp_path: Path) -> None:
    part, geometry = tmp_path / ".a.part", Geometry.of_size(100)
    journal = Journal(file_names.journal_path(part), bytes(32), geometry)
    part.touch()
    journal.save(np.ones(1, np.uint8), Mark.of(part.stat()), is_clean=True)
    journal.close()
    part.rename(tmp_path / "moved")
    part.write_bytes(b"mine")
    with pytest.raises(StorageError, match="another file than the one that was fetched into"):
        part_file.remove(part, is_expected=True, saved=journal.load())
    assert part.read_bytes() == b"mine"
    assert not file_names.journal_path(part).exists()
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(StorageError, match="there is a named pipe at"):
        part_file.remove(part, is_expected=True, saved=None)
    assert part.is_fifo()


@pytest.mark.parametrize(
    ("make", "kind"),
    [(Path.mkdir, "a folder"), (os.mkfifo, "a named pipe"), (lambda path: path.symlink_to("/"), "a symbolic link")],
)
def test_what_no_part_file_can_be_is_named(path: Path, make: Callable[[Path], None], kind: str) -> None:
    make(path)
    refusal = refused(path)
    assert (refusal.code, f"there is {kind} at {path}" in str(refusal)) == ("target_exists", True)


def test_a_pipe_in_the_place_of_a_journal_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    assert Journal(tmp_path / "journal", bytes(32), Geometry.of_size(100)).load() is None

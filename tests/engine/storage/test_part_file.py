"""The part file: reserved, locked, and nothing else than a regular file of our own."""

import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.errors import StorageError
from engine.storage.part_file import open_part


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".file.part"


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


def test_a_disk_that_fills_up_meanwhile_is_said_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert refused(path).code == "no_space"


def test_a_file_system_that_cannot_reserve_gets_a_file_of_the_right_length(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    os.close(open_part(path, 12_345, 0))
    assert path.stat().st_size == 12_345


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

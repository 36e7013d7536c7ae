"""Both ways to a file do the same: what was written is read, and a file that shrank is an OSError, never a signal."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.storage.destination import Backend, Destination, _backend_of_device, backend_for, open_destination
from engine.storage.mapped_destination import MappedDestination
from engine.storage.pwrite_destination import PwriteDestination

SIZE = 100_003
BACKENDS: tuple[Backend, ...] = get_args(Backend)
Opener = Callable[[Backend, int], Destination]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    def open_one(backend: Backend, size_bytes: int) -> Destination:
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.ftruncate(descriptor, size_bytes)
        return open_destination(descriptor, size_bytes, backend)

    return open_one


offset_and_block = st.tuples(st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=5000))


@pytest.mark.parametrize("backend", BACKENDS)
@given(writes=st.lists(offset_and_block, max_size=8), data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read_at_any_offset(
    backend: Backend, writes: list[tuple[int, bytes]], data: st.DataObject, opened: Opener
) -> None:
    destination, model = opened(backend, SIZE), bytearray(SIZE)
    destination.write(0, memoryview(bytes(SIZE)))
    for offset, block in writes:
        block = block[: SIZE - offset]
        destination.write(offset, memoryview(block))
        model[offset : offset + len(block)] = block
    offset = data.draw(st.integers(0, SIZE))
    length = data.draw(st.integers(0, SIZE - offset))
    assert bytes(destination.view(offset, length)) == model[offset : offset + length]
    assert destination.read(offset, length) == model[offset : offset + length]
    assert bytes(destination.view(0, SIZE)) == model
    destination.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_another_descriptor_wrote_is_read(backend: Backend, opened: Opener, tmp_path: Path) -> None:
    destination = opened(backend, SIZE)
    with open(tmp_path / "file", "r+b") as other:
        other.seek(70_000)
        other.write(b"by another worker")
    assert bytes(destination.view(70_000, 17)) == b"by another worker"
    destination.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_shrank_is_an_error_and_not_a_signal(backend: Backend, opened: Opener, tmp_path: Path) -> None:
    destination = opened(backend, SIZE)
    os.truncate(tmp_path / "file", 10)
    with pytest.raises(OSError, match="shorter"):
        bytes(destination.view(90_000, 100))
    with pytest.raises(OSError, match="shorter"):
        bytes(destination.view(0, 20))
    with pytest.raises(OSError, match="shorter") as caught:
        destination.read(0, 20)
    assert caught.value.errno == errno.ESTALE, "it was changed; the disk is not at fault"
    destination.close()


def test_a_file_that_is_too_short_is_not_mapped(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, SIZE - 1)
    with pytest.raises(OSError, match="shorter"):
        open_destination(descriptor, SIZE, "mapped")
    os.close(descriptor)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_short_write_is_continued(backend: Backend, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    destination, really_write = opened(backend, SIZE), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, block, offset: really_write(descriptor, block[:7], offset))
    destination.write(5, memoryview(bytes(range(100))))
    assert bytes(destination.view(5, 100)) == bytes(range(100))
    destination.close()


def test_a_short_read_is_continued(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    destination, really_read = opened("pwrite", SIZE), os.pread
    destination.write(5, memoryview(bytes(range(100))))
    monkeypatch.setattr(os, "pread", lambda descriptor, length, offset: really_read(descriptor, min(length, 7), offset))
    assert destination.view(5, 100) == bytes(range(100))
    destination.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_closing_closes_the_descriptor(backend: Backend, opened: Opener) -> None:
    destination = opened(backend, SIZE)
    destination.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(destination.fileno())


def test_a_slice_that_is_still_being_sent_survives_the_close(opened: Opener) -> None:
    destination = opened("mapped", SIZE)
    destination.write(40_000, memoryview(b"still wanted"))
    sending = destination.view(40_000, 12)
    destination.close()
    assert bytes(sending) == b"still wanted"


def test_an_empty_file_is_not_mapped(opened: Opener) -> None:
    assert isinstance(opened("mapped", 1), MappedDestination)
    empty = opened("mapped", 0)
    assert type(empty) is PwriteDestination
    assert empty.read(0, 0) == b""


@pytest.mark.parametrize(
    ("mounts", "backend"),
    [
        ({"/": "ext4"}, "mapped"),
        ({"/": "ext4", "{folder}": "nfs4"}, "pwrite"),
        ({"{folder}": "xfs", "/": "nfs4"}, "mapped"),
        ({"/": "ext4", "{folder}": "fuse.sshfs"}, "pwrite"),
        ({"/": "ext4", "{folder}-other": "9p"}, "mapped"),
        ({"/": "overlay"}, "pwrite"),
        ({}, "pwrite"),
    ],
)
def test_the_innermost_file_system_decides_and_an_unknown_one_is_not_mapped(
    mounts: dict[str, str], backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    partitions = [
        SimpleNamespace(mountpoint=mount.format(folder=folder), fstype=kind) for mount, kind in mounts.items()
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: partitions)  # its parameter has that name
    _backend_of_device.cache_clear()
    assert backend_for(folder) == backend
    _backend_of_device.cache_clear()

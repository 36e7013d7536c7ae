"""What an open file is called now."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.storage.current_path import path_of


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "data.bin"
    path.write_bytes(b"content")
    descriptor = os.open(path, os.O_RDONLY)
    yield path, descriptor
    os.close(descriptor)


def test_a_file_is_followed_through_renames_of_it_and_of_its_folder(opened: tuple[Path, int], tmp_path: Path) -> None:
    path, descriptor = opened
    assert path_of(descriptor) == path
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / "other")
    assert path_of(descriptor) == folder / "other"
    folder.rename(tmp_path / "away")
    assert path_of(descriptor) == tmp_path / "away" / "other"


def test_a_deleted_file_is_nowhere_even_if_something_has_the_name_the_kernel_gives_it(opened: tuple[Path, int]) -> None:
    path, descriptor = opened
    path.unlink()
    assert path_of(descriptor) is None
    Path(f"{path} (deleted)").write_bytes(b"content")
    assert path_of(descriptor) is None


def test_a_file_whose_name_was_taken_by_another_is_nowhere(opened: tuple[Path, int]) -> None:
    path, descriptor = opened
    other = path.with_name("other")
    other.write_bytes(b"content")
    other.rename(path)
    assert path_of(descriptor) is None


def test_a_name_that_cannot_be_written_down_is_none(opened: tuple[Path, int]) -> None:
    path, descriptor = opened
    os.rename(path, os.fsencode(path.parent) + b"/\xff")
    assert path_of(descriptor) is None

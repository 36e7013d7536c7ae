"""Where a file lands: names that fit, and nothing that exists is ever overwritten."""

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StorageError
from engine.storage.file_names import install, journal_path, make_folder, part_path, remove_folders, target_of
from engine.storage.journal import Journal, Mark
from engine.swarm.bitfield import Bitfield
from tests.testkit.builders import bounded, geometry_of

ROOT, OTHER_ROOT = bytes(32), b"\1" * 32
letters = st.sampled_from(["a", "é", "字", "🐟"])


def test_a_folder_takes_the_file_under_its_own_name(tmp_path: Path) -> None:
    assert target_of(tmp_path, "disk.img") == tmp_path / "disk.img"
    assert target_of(f"{tmp_path}/", "disk.img") == tmp_path / "disk.img"


def test_any_other_path_is_the_name_itself(tmp_path: Path) -> None:
    assert target_of(tmp_path / "mine.img", "disk.img") == tmp_path / "mine.img"
    (tmp_path / "there.img").touch()
    assert target_of(tmp_path / "there.img", "disk.img") == tmp_path / "there.img"


@pytest.mark.parametrize("ending", ["/", "//", "/."])
def test_what_ends_in_a_slash_is_a_folder_also_one_that_is_still_to_be_made(ending: str, tmp_path: Path) -> None:
    target = target_of(f"{tmp_path}/new/deep{ending}", "disk.img")
    assert target == tmp_path / "new" / "deep" / "disk.img"
    assert not (tmp_path / "new").exists(), "nothing is made before it is needed"


@pytest.mark.parametrize("path", ["file/", "file/deep/", "file/.", "dangling/", "dangling/deep/"])
def test_no_folder_can_be_made_in_a_file_or_behind_a_link_to_nowhere(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"no folder .* none can be made: ") as refusal:
        target_of(f"{tmp_path}/{path}", "disk.img")
    assert refusal.value.code == "no_folder"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_to_a_folder_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for path in ("link", "link/", "link/new/"):
        target = target_of(f"{tmp_path}/{path}", "disk.img")
        assert target == tmp_path / path.replace("link", "folder") / "disk.img"


def test_a_missing_folder_before_a_name_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"create it, .* ends in / is made") as refusal:
        target_of(f"{tmp_path}/nowhere/mine.img", "disk.img")
    assert refusal.value.code == "no_folder"


def test_folders_are_as_open_as_the_umask_and_go_again_if_they_are_empty(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        made = make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    assert made == [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert [each.stat().st_mode & 0o777 for each in made] == [0o750] * 3
    assert make_folder(tmp_path / "a" / "b") == []
    (tmp_path / "a" / "mine").touch()
    remove_folders(made)
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["mine"]


def test_folders_that_cannot_be_made_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as refusal:
        make_folder(tmp_path / "a" / ("n" * 300))
    assert refusal.value.code == "bad_name"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["nowhere/mine.img", "file/mine.img", "a\0b", "not UTF-8: \udcff", "x" * 300])
def test_a_place_that_cannot_be_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as refusal:
        target_of(f"{tmp_path}/{path}", "disk.img")
    assert refusal.value.code in ("no_folder", "bad_name")


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert target_of("mine.img", "disk.img") == tmp_path / "mine.img"
    assert target_of("./", "disk.img") == tmp_path / "disk.img"
    assert target_of(".", "disk.img") == tmp_path / "disk.img"


def test_an_empty_destination_is_not_the_current_folder() -> None:
    with pytest.raises(StorageError, match="empty") as refusal:
        target_of("", "disk.img")
    assert refusal.value.code == "no_folder"


def test_short_names_keep_their_name() -> None:
    part = part_path(Path("/data/disk.img"), ROOT)
    assert part == Path("/data/.disk.img.part")
    assert journal_path(part) == Path("/data/.disk.img.part.journal")


@given(name=st.lists(letters, min_size=1, max_size=255).map("".join).filter(lambda name: len(name.encode()) <= 255))
@bounded(100)
def test_names_of_any_length_have_companions_that_fit(name: str) -> None:
    part = part_path(Path("/data") / name, ROOT)
    for companion in (part, journal_path(part), journal_path(part).with_name(journal_path(part).name + ".new")):
        assert companion.parent == Path("/data")
        assert len(companion.name.encode()) <= 255


@pytest.mark.parametrize("letter", ["a", "é", "字", "🐟"])
def test_the_longest_names_are_told_apart_by_the_root(letter: str) -> None:
    longest = Path("/data") / (letter * (255 // len(letter.encode())))
    assert part_path(longest, ROOT) != part_path(longest, OTHER_ROOT)
    assert part_path(longest, ROOT) == part_path(longest, ROOT)


@pytest.mark.parametrize("length", [*range(230, 256)])
def test_a_journal_can_be_written_beside_a_name_of_any_length(length: int, tmp_path: Path) -> None:
    part = part_path(tmp_path / ("n" * length), ROOT)
    part.touch()
    geometry = geometry_of(3)
    journal = Journal(journal_path(part), ROOT, geometry)
    journal.save(Bitfield(3).to_flags(), Mark(1, 1), is_clean=True)
    journal.close()
    assert journal.load() is not None


# ---------------------------------------------------------------- the final name


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / ".file.part"
    path.write_bytes(b"new")
    return path


def without_links(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("has_links", [True, False])
def test_the_data_gets_its_name_and_loses_the_hidden_one(
    has_links: bool, part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", without_links)
    install(part, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not part.exists()


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_nothing_that_exists_is_overwritten(
    kind: str, has_links: bool, part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", without_links)
    target, elsewhere = tmp_path / "file", tmp_path / "elsewhere"
    if kind == "file":
        target.write_bytes(b"old")
    elif kind == "folder":
        target.mkdir()
    else:
        if kind == "link":
            elsewhere.write_bytes(b"old")
        target.symlink_to(elsewhere)
    with pytest.raises(StorageError) as refusal:
        install(part, target)
    assert refusal.value.code == "target_exists"
    assert str(part) in str(refusal.value)
    assert part.read_bytes() == b"new"
    if kind in ("file", "link"):
        assert target.read_bytes() == b"old"
    assert elsewhere.exists() == (kind == "link")


def test_of_many_who_want_a_name_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    target, count = tmp_path / "file", 8
    parts = [tmp_path / f".{number}.part" for number in range(count)]
    for number, path in enumerate(parts):
        path.write_bytes(b"%d" % number)
    barrier, outcomes = threading.Barrier(count), [""] * count

    def race(number: int) -> None:
        barrier.wait()
        try:
            install(parts[number], target)
            outcomes[number] = "won"
        except StorageError as error:
            outcomes[number] = error.code

    threads = [threading.Thread(target=race, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["target_exists"] * (count - 1) + ["won"]
    winner = outcomes.index("won")
    assert target.read_bytes() == b"%d" % winner
    assert [path.exists() for path in parts] == [number != winner for number in range(count)]

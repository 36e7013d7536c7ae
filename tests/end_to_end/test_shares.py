"""A shared file is touched, moved, copied over, away for a while, edited: what is served, said and kept meanwhile."""

import filecmp
import mmap
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.world import (
    MIB,
    Answer,
    World,
    download,
    login,
    refusal,
    sharers,
    status,
    upload,
    wait_complete,
    wait_fetched,
    wait_until,
)
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("shares")]

SIZE = 3 * MIB


@dataclass
class Pair:
    """ann shares, bob fetches."""

    world: World
    group: str
    ann: ShellProcess
    bob: ShellProcess

    def share(self, size_bytes: int = SIZE) -> Path:
        """A file that ann shares, under a name of its own."""
        file = self.world.new_file(f"{self.world.new_name('file')}.bin", size_bytes)
        upload(self.ann, file, self.group)
        return file

    def shown(self, name: str) -> Answer:
        """As ann's show_shares has it."""
        return next(one for one in self.ann.expect("show_shares")["shares"] if one["name"] == name)

    def wait_shown(self, name: str, state: str, path: Path | None = None) -> Answer:
        def is_there(one: Answer) -> bool:
            return one["state"] == state and (path is None or one["path"] == str(path))

        found: Answer = wait_until(lambda: self.shown(name), is_there, state)
        return found

    def fetch(self, name: str, like: Path) -> None:
        """bob gets it, and it is right."""
        target = self.world.new_folder()
        assert download(self.bob, self.group, name, target)["bytes_by_peer"] == {"ann": like.stat().st_size}
        assert filecmp.cmp(like, target / name, shallow=False)
        self.bob.expect(f"stop_share {self.group} {name}")

    def said(self) -> set[str]:
        return {notice["notice"] for notice in self.ann.notices}


@pytest.fixture(scope="module")
def pair_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    world = World(tmp_path_factory.mktemp("shares"))
    world.start_tracker()
    ann, bob = world.join_in("ann"), world.join_in("bob")
    yield Pair(world, world.new_group(ann, (bob, "bob")), ann, bob)
    world.close()


@pytest.fixture
def pair(pair_of_module: Pair) -> Pair:
    pair_of_module.ann.notices.clear()
    pair_of_module.bob.notices.clear()
    return pair_of_module


def waiting_in(report: Answer) -> dict[str, str]:
    """Of a login."""
    return {one["name"]: one["state"] for one in report["shares_waiting"]}


def link(file: Path) -> None:
    os.link(file, file.with_name("second name"))


def replace_atomically(file: Path) -> None:
    """As cp -a and mv, rsync, backup tools, a checkout do."""
    copy = file.with_name("copy")
    shutil.copy2(file, copy)
    copy.rename(file)


def check_out(file: Path) -> None:
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)


def copy_over_itself(file: Path) -> None:
    copy = file.with_name("copy")
    shutil.copy2(file, copy)
    shutil.copyfile(copy, file)  # cut to nothing, then written


HARMLESS: dict[str, Callable[[Path], None]] = {
    "touch": os.utime, "chmod": lambda file: file.chmod(0o600), "hard link": link, "replace": replace_atomically,
    "checkout": check_out, "copy over": copy_over_itself,
}  # fmt: skip


@pytest.mark.parametrize("how", HARMLESS)
def test_a_share_whose_bytes_stay_goes_on_whatever_its_marks_do(pair: Pair, how: str) -> None:
    file = pair.share()
    HARMLESS[how](file)
    pair.fetch(file.name, file)
    assert pair.wait_shown(file.name, "served")["path"] == str(file)
    assert pair.said() <= {"share_rereading", "share_rechecked"}
    pair.ann.expect("logout")
    assert login(pair.ann, "ann")["shares_waiting"] == []  # the new marks were written down


def test_a_download_under_way_outlives_a_touch(pair: Pair) -> None:
    size_bytes = 256 * MIB
    file, target = pair.share(size_bytes), pair.world.new_folder()
    pair.ann.expect("logout")
    pair.bob = pair.world.begin_in_background(pair.bob, "bob", pair.group, file.name, target)
    login(pair.ann, "ann")
    wait_fetched(pair.bob, file.name, MIB)
    os.utime(file)
    assert wait_complete(pair.bob, file.name)["bytes_by_peer"] == {"ann": size_bytes}
    assert filecmp.cmp(file, target / file.name, shallow=False)
    assert "bad_peer" not in {notice["notice"] for notice in pair.bob.notices}
    assert "share_dropped" not in pair.said()


def test_a_renamed_file_is_followed_and_said_once(pair: Pair) -> None:
    file = pair.share()
    moved = pair.world.new_folder() / "other name"
    file.rename(moved)
    assert str(moved) in pair.ann.wait_notice("share_moved")["message"]
    pair.wait_shown(file.name, "served", moved)
    pair.fetch(file.name, moved)
    pair.ann.expect("logout")
    login(pair.ann, "ann")
    pair.wait_shown(file.name, "served", moved)
    assert [notice["notice"] for notice in pair.ann.notices].count("share_moved") == 1


def test_a_file_that_makes_way_for_another_is_followed(pair: Pair) -> None:
    """As logs are rotated: the old name is taken by something else."""
    file = pair.share()
    kept = file.rename(file.with_name("kept.1"))
    file.write_bytes(os.urandom(SIZE))
    pair.wait_shown(file.name, "served", kept)
    pair.fetch(file.name, kept)


def test_a_waiting_leecher_sees_that_its_sharer_reads_again_and_goes_on_by_itself(pair: Pair) -> None:
    file, target = pair.share(), pair.world.new_folder()
    content = file.read_bytes()
    is_written = threading.Event()

    def write_slowly() -> None:
        os.truncate(file, 0)
        while not is_written.wait(0.2):
            with file.open("ab") as writing:
                writing.write(b"some")
        file.write_bytes(content)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    try:
        pair.wait_shown(file.name, "rereading")
        pair.bob = bob = pair.world.begin_in_background(pair.bob, "bob", pair.group, file.name, target)
        wait_until(
            lambda: status(bob, file.name),
            lambda one: ("ann", "rereading") in {(who["user_id"], who["cause"]) for who in one["waiting_for"]},
            "said",
        )
    finally:
        is_written.set()
        writer.join()
    wait_complete(bob, file.name, 8)
    assert filecmp.cmp(file, target / file.name, shallow=False)
    assert "share_dropped" not in pair.said()


def test_what_is_not_there_at_login_is_kept_and_served_when_it_is_back(pair: Pair) -> None:
    file = pair.share()
    away = pair.world.folder / pair.world.new_name("away")
    pair.ann.expect("logout")
    file.parent.rename(away)
    report = login(pair.ann, "ann")
    assert ({file.name: "missing"}, report["shares_dropped"]) == (waiting_in(report), [])
    assert sharers(pair.bob, pair.group, file.name) == 0
    pair.ann.expect("logout")
    assert waiting_in(login(pair.ann, "ann")) == {file.name: "missing"}
    away.rename(file.parent)
    pair.ann.wait_notice("share_back")
    pair.wait_shown(file.name, "served")
    pair.fetch(file.name, file)


def test_what_is_deleted_is_missing_until_it_is_put_back(pair: Pair) -> None:
    file = pair.share()
    content = file.read_bytes()
    file.unlink()
    assert str(file) in pair.ann.wait_notice("share_missing")["message"]
    wait_until(lambda: sharers(pair.bob, pair.group, file.name), lambda count: count == 0, "withdrawn")
    file.write_bytes(content)
    pair.ann.wait_notice("share_back")
    pair.fetch(file.name, file)


def test_a_share_that_is_missing_can_be_ended(pair: Pair) -> None:
    file = pair.share()
    file.unlink()
    pair.wait_shown(file.name, "missing")
    pair.ann.expect(f"stop_share {pair.group} {file.name}")
    assert file.name not in {one["name"] for one in pair.ann.expect("show_shares")["shares"]}
    assert refusal(pair.ann, f"stop_share {pair.group} {file.name}")
    pair.ann.expect("logout")
    assert login(pair.ann, "ann")["shares_waiting"] == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_a_disk_that_is_unmounted_and_back_loses_no_share(pair: Pair) -> None:
    disk, mount_point = pair.world.new_folder(), pair.world.new_folder()
    mount = ["mount", "--bind", str(disk), str(mount_point)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not possible here")
    file = mount_point / f"{pair.world.new_name('file')}.bin"
    try:
        file.write_bytes(os.urandom(SIZE))
        upload(pair.ann, file, pair.group)
        subprocess.run(["umount", "--lazy", str(mount_point)], check=True)
        pair.wait_shown(file.name, "missing", file)
        pair.ann.expect("logout")
        assert login(pair.ann, "ann")["shares_dropped"] == []
        assert pair.shown(file.name)["state"] == "missing"
        subprocess.run(mount, check=True)
        pair.wait_shown(file.name, "served", file)
        pair.fetch(file.name, file)
        pair.ann.expect(f"stop_share {pair.group} {file.name}")
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=False, capture_output=True)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable_until_it_has_it_again(pair: Pair) -> None:
    file = pair.share()
    file.chmod(0)
    assert "permission" in pair.wait_shown(file.name, "unreadable")["reason"]
    file.chmod(0o644)
    pair.wait_shown(file.name, "served")
    pair.fetch(file.name, file)


def edit_with_its_times_set_back(file: Path) -> None:
    before = file.stat()
    with file.open("r+b") as writing:
        writing.write(b"not what it was")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_edit_with_its_mtime_set_back_is_served_to_nobody_and_put_right_is_served_on(pair: Pair) -> None:
    file, target = pair.share(), pair.world.new_folder()
    content = file.read_bytes()
    pair.ann.expect("logout")
    pair.bob = pair.world.begin_in_background(pair.bob, "bob", pair.group, file.name, target)
    login(pair.ann, "ann")
    edit_with_its_times_set_back(file)
    pair.ann.wait_notice("share_dropped")
    assert not (target / file.name).exists()
    file.write_bytes(content)
    upload(pair.ann, file, pair.group)
    wait_complete(pair.bob, file.name)
    assert (target / file.name).read_bytes() == content
    assert "bad_peer" not in {notice["notice"] for notice in pair.bob.notices}


def test_who_serves_wrong_bytes_without_knowing_hears_of_it_and_serves_again_when_it_is_right(pair: Pair) -> None:
    """Written through a map, as virtual machines and databases do: no mark of the file moves."""
    target = pair.world.new_folder()
    file = pair.world.new_file(f"{pair.world.new_name('file')}.bin", SIZE)
    content = file.read_bytes()
    with file.open("r+b") as mapped_file, mmap.mmap(mapped_file.fileno(), SIZE) as mapped:
        mapped[:] = content  # from here on the kernel takes stores without dating the file
        os.utime(file)
        marks = file.stat()
        upload(pair.ann, file, pair.group)
        mapped[SIZE // 2] ^= 0xFF
        assert (file.stat().st_mtime_ns, file.stat().st_ctime_ns) == (marks.st_mtime_ns, marks.st_ctime_ns)
        pair.bob.send(f"download_file {pair.group} {file.name} {target}")
        assert file.name in pair.ann.wait_notice("share_wrong")["message"]
        pair.bob.wait_notice("peer_pardoned")
        assert not (target / file.name).exists()
        pair.ann.wait_notice("share_dropped")
        mapped[SIZE // 2] ^= 0xFF
    upload(pair.ann, file, pair.group)
    assert pair.bob.result(30)["ok"]
    assert (target / file.name).read_bytes() == content


def test_a_file_that_was_changed_is_dropped_when_it_was_read(pair: Pair) -> None:
    file = pair.share()
    file.write_bytes(os.urandom(SIZE))
    assert "upload it again" in pair.ann.wait_notice("share_dropped")["message"]
    assert file.name not in {one["name"] for one in pair.ann.expect("show_shares")["shares"]}
    wait_until(lambda: sharers(pair.bob, pair.group, file.name), lambda count: count == 0, "withdrawn")

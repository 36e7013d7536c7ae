"""What was begun is never lost and never without a command: the same wish again, a lost membership, a place on the disk
that is not what it was.
"""

import filecmp
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.world import (
    MIB,
    PASSWORD,
    Answer,
    World,
    login,
    refusal,
    status,
    upload,
    wait_complete,
    wait_fetched,
    wait_until,
)
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("begun_downloads")]

SIZE = 256 * MIB
IN_FLIGHT_MOST = 16 * (MIB // 4)
"""What may be fetched twice after a crash."""


@dataclass
class Scene:
    """ann shares data.bin in a group, and is logged out; bob is a member, and logged in."""

    world: World
    ann: ShellProcess
    bob: ShellProcess
    group: str
    file: Path
    target: Path

    @property
    def wish(self) -> str:
        return f"download_file {self.group} data.bin {self.target}"

    def begin(self) -> None:
        """bob waits for ann."""
        self.bob = self.world.begin_in_background(self.bob, "bob", self.group, "data.bin", self.target)

    def begin_and_fetch_some(self) -> int:
        """ann was there for a while; how much has come."""
        self.begin()
        login(self.ann, "ann")
        wait_fetched(self.bob, "data.bin", SIZE // 8)
        self.ann.expect("logout")
        wait_until(lambda: status(self.bob, "data.bin")["state"], lambda state: bool(state == "waiting"), "waiting")
        verified_bytes: int = status(self.bob, "data.bin")["verified_bytes"]
        assert 0 < verified_bytes < SIZE
        return verified_bytes

    def leave(self) -> None:
        self.bob.close()

    def come_back(self) -> Answer:
        self.bob = self.world.start_client("bob")
        return login(self.bob, "bob")

    def shown(self) -> Answer:
        return status(self.bob, "data.bin")

    def finish(self, at: Path | None = None) -> int:
        """ann comes; how much had to be fetched still."""
        login(self.ann, "ann")
        final = wait_complete(self.bob, "data.bin")
        assert filecmp.cmp(self.file, (at or self.target) / "data.bin", shallow=False)
        assert os.listdir(at or self.target) == ["data.bin"]
        return sum(final["bytes_by_peer"].values())


def count_filled(part: Path) -> int:
    """Of 64 places in it, those that are not empty any more."""
    with part.open("rb") as file:
        return sum(any(os.pread(file.fileno(), 16, place)) for place in range(0, SIZE, SIZE // 64))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("begun"))
    try:
        world.start_tracker()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def people(world: World) -> dict[str, ShellProcess]:
    return {name: world.join_in(name) for name in ("ann", "bob")}


@pytest.fixture
def scene(world: World, people: dict[str, ShellProcess]) -> Iterator[Scene]:
    file = world.new_file("data.bin", SIZE)  # content that bob has nowhere yet
    for name, client in people.items():
        if client.process.returncode is not None:
            people[name] = world.start_client(name)
        people[name].run(f"login {name} {PASSWORD}")  # refused where it is logged in
        people[name].notices.clear()
    ann, bob = people["ann"], people["bob"]
    group = world.new_group(ann, (bob, "bob"))
    upload(ann, file, group)
    ann.expect("logout")
    scene = Scene(world, ann, bob, group, file, world.new_folder())
    yield scene
    people.update(ann=scene.ann, bob=scene.bob)
    for client in (scene.bob, scene.ann):
        if client.process.returncode is None:
            client.run(f"leave_group {group}")
    file.unlink()
    shutil.rmtree(scene.target, ignore_errors=True)


# ---------------------------------------------------------------- the same wish twice


def test_a_script_that_was_killed_in_a_download_and_is_run_again_ends_with_0(scene: Scene) -> None:
    scene.bob.send(scene.wish)
    scene.bob.wait_notice("download_waiting")
    login(scene.ann, "ann")
    part = scene.target / ".data.bin.part"
    wait_until(lambda: count_filled(part), lambda count: bool(count >= 4), "under way")
    scene.bob.kill()
    assert not (scene.target / "data.bin").exists()
    again = scene.world.run_script("bob", f"login bob {PASSWORD}\n{scene.wish}\n")
    assert (again.code, again.err.count("error")) == (0, 0), again
    assert filecmp.cmp(scene.file, scene.target / "data.bin", shallow=False)
    assert os.listdir(scene.target) == ["data.bin"]
    once_more = scene.world.run_script("bob", f"login bob {PASSWORD}\n{scene.wish}\n")
    assert once_more.code == 0, once_more


def test_the_same_wish_again_follows_and_another_place_is_refused_with_the_first(scene: Scene) -> None:
    scene.begin()
    elsewhere = scene.world.new_folder()
    answer = scene.bob.run(f"download_file {scene.group} data.bin {elsewhere}")
    assert answer["error"]["code"] == "downloading"
    assert str(scene.target / "data.bin") in answer["error"]["message"]
    assert os.listdir(elsewhere) == []
    scene.bob.send(scene.wish)
    scene.bob.wait_notice("download_followed")
    login(scene.ann, "ann")
    report = scene.bob.result(30)
    assert (report["ok"], report["state"], report["bytes_by_peer"]) == (True, "complete", {"ann": SIZE})
    assert filecmp.cmp(scene.file, scene.target / "data.bin", shallow=False)


# ---------------------------------------------------------------- the membership ends and comes back


@pytest.mark.parametrize("goes_on", ["by itself", "at login", "download_file"])
def test_who_is_put_out_and_let_in_again_keeps_what_had_come(scene: Scene, goes_on: str) -> None:
    kept_bytes = scene.begin_and_fetch_some()
    login(scene.ann, "ann")
    wait_fetched(scene.bob, "data.bin", kept_bytes)
    scene.ann.expect(f"remove_member {scene.group} bob")
    wait_until(lambda: scene.shown()["state"], lambda state: bool(state == "failed"), "failed")
    assert (scene.shown()["error_code"], "not a member" in scene.shown()["error"]) == ("not_member", True)
    kept_bytes = scene.shown()["verified_bytes"]
    assert kept_bytes > 0
    assert (scene.target / ".data.bin.part").stat().st_size == SIZE
    scene.leave()
    assert scene.come_back()["downloads_resumed"] == 0
    shown = scene.shown()
    assert (shown["state"], shown["error_code"], shown["verified_bytes"]) == ("failed", "not_member", kept_bytes)
    assert "cancel_download removes it" in shown["error"]
    scene.bob.expect(f"join_group {scene.group}")
    if goes_on == "at login":
        scene.leave()
    scene.ann.expect(f"accept_request {scene.group} bob")
    scene.ann.expect("logout")
    if goes_on == "at login":
        assert scene.come_back()["downloads_resumed"] == 1
    scene.bob.wait_notice("download_resumed") if goes_on == "by itself" else None
    if goes_on == "download_file":
        scene.bob.send(scene.wish)
        scene.bob.wait_notice("download_waiting")
        login(scene.ann, "ann")
        assert sum(scene.bob.result(30)["bytes_by_peer"].values()) == SIZE - kept_bytes
        assert filecmp.cmp(scene.file, scene.target / "data.bin", shallow=False)
    else:
        assert scene.finish() == SIZE - kept_bytes


def test_what_came_before_one_was_put_out_can_be_given_up(scene: Scene) -> None:
    scene.begin_and_fetch_some()
    login(scene.ann, "ann")
    scene.ann.expect(f"remove_member {scene.group} bob")
    wait_until(lambda: scene.shown()["state"], lambda state: bool(state == "failed"), "failed")
    scene.bob.expect(f"cancel_download {scene.group} data.bin")
    assert os.listdir(scene.target) == []
    scene.leave()
    scene.come_back()
    assert scene.bob.expect("show_downloads")["downloads"] == []


# ---------------------------------------------------------------- its place is not what it was


def test_a_folder_that_is_gone_is_shown_and_the_download_can_be_ended(scene: Scene) -> None:
    scene.begin()
    scene.leave()
    shutil.rmtree(scene.target)
    scene.come_back()
    shown = scene.shown()
    assert (shown["state"], shown["error_code"]) == ("stuck", "no_folder")
    assert str(scene.target) in shown["error"]
    scene.bob.expect(f"cancel_download {scene.group} data.bin")
    assert str(scene.target) in scene.bob.wait_notice("part_left")["message"]
    assert scene.bob.expect("show_downloads")["downloads"] == []
    assert refusal(scene.bob, f"cancel_download {scene.group} data.bin") == "no_such_download"
    scene.leave()
    scene.come_back()
    assert scene.bob.expect("show_downloads")["downloads"] == []


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_part_file_that_became_something_else_is_shown_and_that_stays(scene: Scene, kind: str) -> None:
    scene.begin()
    scene.leave()
    part = scene.target / ".data.bin.part"
    part.rename(part.with_name("moved"))
    if kind == "link":
        part.symlink_to("moved")
    else:
        part.mkdir()
    scene.come_back()
    shown = scene.shown()
    assert (shown["state"], shown["error_code"]) == ("stuck", "target_exists")
    assert f"at {part}, where the part file belongs" in shown["error"]
    scene.bob.expect(f"cancel_download {scene.group} data.bin")
    assert str(part) in scene.bob.wait_notice("part_left")["message"]
    assert part.is_symlink() or part.is_dir()
    assert part.with_name("moved").exists()
    assert scene.bob.expect("show_downloads")["downloads"] == []


def test_a_target_that_became_another_file_is_shown_and_stays(scene: Scene) -> None:
    scene.begin_and_fetch_some()
    scene.leave()
    (scene.target / "data.bin").write_bytes(b"mine")
    scene.come_back()
    assert (scene.shown()["state"], scene.shown()["error_code"]) == ("stuck", "target_exists")
    assert scene.shown()["verified_bytes"] > 0
    scene.bob.expect(f"cancel_download {scene.group} data.bin")
    assert os.listdir(scene.target) == ["data.bin"]
    assert (scene.target / "data.bin").read_bytes() == b"mine"


@pytest.mark.parametrize("below", ["nothing", "an empty folder"])
def test_a_disk_that_is_away_is_waited_for_and_nothing_is_begun_below_it(scene: Scene, below: str) -> None:
    kept_bytes = scene.begin_and_fetch_some()
    scene.leave()
    disk = scene.target.with_name(scene.target.name + ".disk")
    scene.target.rename(disk)
    if below == "an empty folder":
        scene.target.mkdir()
    scene.come_back()
    code = "part_gone" if below == "an empty folder" else "no_folder"
    assert (scene.shown()["state"], scene.shown()["error_code"]) == ("stuck", code)
    if below == "an empty folder":
        assert os.listdir(scene.target) == []
        scene.target.rmdir()
    else:
        assert refusal(scene.bob, scene.wish) == "no_folder"  # or the file would get the folder's name
        assert not scene.target.exists()
    disk.rename(scene.target)
    scene.bob.wait_notice("download_resumed", 20)
    assert scene.finish() == SIZE - kept_bytes


def test_a_part_file_that_is_gone_is_begun_anew_only_when_asked_for(scene: Scene) -> None:
    scene.begin_and_fetch_some()
    scene.leave()
    (scene.target / ".data.bin.part").unlink()
    scene.come_back()
    assert (scene.shown()["state"], scene.shown()["error_code"]) == ("stuck", "part_gone")
    scene.bob.send(scene.wish)
    assert ".data.bin.part" in scene.bob.wait_notice("part_gone")["message"]
    login(scene.ann, "ann")
    assert scene.bob.result(30)["bytes_by_peer"] == {"ann": SIZE}
    assert os.listdir(scene.target) == ["data.bin"]


@pytest.mark.parametrize("is_reachable", [True, False])
def test_a_download_to_another_place_ends_the_one_that_is_stuck(scene: Scene, is_reachable: bool) -> None:
    scene.begin_and_fetch_some()
    scene.leave()
    if is_reachable:
        (scene.target / "data.bin").write_bytes(b"mine")
    else:
        scene.target.rename(scene.target.with_name(scene.target.name + ".disk"))
    scene.come_back()
    assert scene.shown()["state"] == "stuck"
    elsewhere = scene.world.new_folder()
    login(scene.ann, "ann")
    assert scene.bob.expect(f"download_file {scene.group} data.bin {elsewhere}")["state"] == "complete"
    assert filecmp.cmp(scene.file, elsewhere / "data.bin", shallow=False)
    if is_reachable:
        assert os.listdir(scene.target) == ["data.bin"]
        assert "part_left" not in {notice["notice"] for notice in scene.bob.notices}
    else:
        assert str(scene.target / ".data.bin.part") in scene.bob.wait_notice("part_left")["message"]
    scene.leave()
    assert scene.come_back()["downloads_resumed"] == 0
    assert scene.bob.expect("show_downloads")["downloads"] == []


def test_other_content_under_the_name_is_not_fetched_unasked(scene: Scene) -> None:
    scene.begin()
    scene.leave()
    login(scene.ann, "ann")
    assert scene.ann.expect(f"stop_share {scene.group} data.bin")["is_removed"]
    other = scene.world.new_file("data.bin", MIB)
    upload(scene.ann, other, scene.group)
    scene.come_back()
    assert (scene.shown()["state"], scene.shown()["error_code"]) == ("stuck", "other_content")
    assert scene.bob.expect(scene.wish)["size_bytes"] == MIB
    assert filecmp.cmp(other, scene.target / "data.bin", shallow=False)
    assert os.listdir(scene.target) == ["data.bin"]

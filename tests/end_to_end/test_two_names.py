"""Two names of one content, in one group or in two: what is on the own disk is copied, nobody waits for itself, and
what becomes of one name is nothing to the other.
"""

import filecmp
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.world import (
    MIB,
    World,
    login,
    refusal,
    sharers,
    status,
    upload,
    wait_complete,
    wait_until,
)
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("two_names")]

SIZE = 5 * MIB + 17
SOON_S = 8.0
"""Less than the interval at which a download asks again for peers."""


@dataclass
class Scene:
    """ann publishes one content as n1.bin and n2.bin; bob and cy are members, nobody has fetched anything."""

    world: World
    group: str
    ann: ShellProcess
    bob: ShellProcess
    cy: ShellProcess
    file: Path

    def get(self, client: ShellProcess, name: str, group: str | None = None) -> dict[str, object]:
        """Into a folder of its own, soon."""
        target = self.world.new_folder()
        answer = client.run(f"download_file {group or self.group} {name} {target}", SOON_S)
        assert answer["ok"], answer
        assert filecmp.cmp(self.file, target / name, shallow=False)
        return answer

    def begin_both(self, user_id: str, client: ShellProcess) -> tuple[ShellProcess, Path]:
        """With nobody online: the second name waits for the first. The client is killed and logs in again."""
        target = self.world.new_folder()
        for name, code in (("n1.bin", "download_waiting"), ("n2.bin", "download_following")):
            client.notices.clear()
            client.send(f"download_file {self.group} {name} {target}")
            client.wait_notice(code)
            client.kill()
            client = self.world.start_client(user_id)
            login(client, user_id)
        wait_until(lambda: status(client, "n2.bin")["state"], lambda state: bool(state == "following"), "following")
        assert status(client, "n1.bin")["state"] != "following"
        return client, target


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("two_names"))
    try:
        world.start_tracker()
        yield world
    finally:
        world.close()


@pytest.fixture
def scene(world: World) -> Scene:
    ann, bob, cy = (world.client_anew(name) for name in ("ann", "bob", "cy"))
    group = world.new_group(ann, (bob, "bob"), (cy, "cy"))
    file = world.new_file("n1.bin", SIZE)
    second = file.with_name("n2.bin")
    second.write_bytes(file.read_bytes())
    upload(ann, file, group)
    upload(ann, second, group)
    return Scene(world, group, ann, bob, cy, file)


@pytest.mark.parametrize("is_swarm", [False, True], ids=["one sharer", "a swarm"])
@pytest.mark.parametrize("order", [("n1.bin", "n2.bin"), ("n2.bin", "n1.bin")], ids=["in order", "in the other order"])
def test_the_second_name_is_copied_from_the_first(scene: Scene, order: tuple[str, str], is_swarm: bool) -> None:
    if is_swarm:
        scene.get(scene.cy, order[0])
    first = scene.get(scene.bob, order[0])
    second = scene.get(scene.bob, order[1])
    assert (second["bytes_by_peer"], second["copied_from"]) == ({}, first["path"])
    assert sharers(scene.ann, scene.group, "n1.bin") == 2 + is_swarm  # people, not names
    scene.bob.expect("logout")
    assert login(scene.bob, "bob")["shares_resumed"] == 2


@pytest.mark.parametrize("is_swarm", [False, True], ids=["one sharer", "a swarm"])
@pytest.mark.parametrize("again", ["n1.bin", "n2.bin"])
def test_a_copy_that_was_deleted_is_fetched_again_at_once(scene: Scene, again: str, is_swarm: bool) -> None:
    if is_swarm:
        scene.get(scene.cy, "n1.bin")
    os.unlink(str(scene.get(scene.bob, "n1.bin")["path"]))
    scene.get(scene.bob, again)


@pytest.mark.parametrize("change", ["rewritten", "truncated"])
def test_a_copy_that_was_changed_is_not_taken_for_the_file(scene: Scene, change: str) -> None:
    path = Path(str(scene.get(scene.bob, "n1.bin")["path"]))
    if change == "rewritten":
        path.write_bytes(os.urandom(SIZE))
    else:
        os.truncate(path, 100)
    assert scene.get(scene.bob, "n2.bin")["bytes_by_peer"] == {"ann": SIZE}


def test_stopping_one_name_leaves_the_other_shared(scene: Scene) -> None:
    scene.get(scene.cy, "n1.bin")
    scene.get(scene.cy, "n2.bin")
    assert scene.cy.expect(f"stop_share {scene.group} n2.bin")["is_removed"] is False
    scene.ann.expect("logout")
    assert sharers(scene.bob, scene.group, "n1.bin") == 1
    assert scene.get(scene.bob, "n1.bin")["bytes_by_peer"] == {"cy": SIZE}
    scene.cy.expect("logout")
    assert login(scene.cy, "cy")["shares_resumed"] == 1
    assert refusal(scene.cy, f"stop_share {scene.group} n2.bin") == "not_shared"


def test_a_name_that_its_publisher_withdraws_leaves_the_other_listed_and_served(scene: Scene) -> None:
    assert scene.ann.expect(f"stop_share {scene.group} n1.bin")["is_removed"] is True
    listed = {one["name"]: one["sharers_online"] for one in scene.bob.expect(f"list_files {scene.group}")["files"]}
    assert listed == {"n2.bin": 1}
    assert scene.get(scene.bob, "n2.bin")["bytes_by_peer"] == {"ann": SIZE}
    scene.ann.expect("logout")
    assert login(scene.ann, "ann")["shares_resumed"] == 1


def test_giving_up_one_name_leaves_what_is_here_of_the_other_to_the_others(scene: Scene) -> None:
    """cy has n1 and is about to have n2, which is given up; ann goes; n1 still comes from cy."""
    scene.ann.expect("logout")
    cy, _ = scene.begin_both("cy", scene.cy)
    cy.expect(f"cancel_download {scene.group} n2.bin")
    assert sharers(scene.bob, scene.group, "n1.bin") == 0  # cy waits, and has nothing
    login(scene.ann, "ann")
    wait_complete(cy, "n1.bin")
    scene.ann.expect("logout")
    assert scene.get(scene.bob, "n1.bin")["bytes_by_peer"] == {"cy": SIZE}
    # The name that is complete already cannot be given up, and an attempt changes nothing.
    scene.get(cy, "n2.bin")
    assert refusal(cy, f"cancel_download {scene.group} n2.bin") == "no_such_download"
    assert sharers(scene.bob, scene.group, "n1.bin") == 2


def test_giving_up_the_first_of_two_names_lets_the_second_fetch(scene: Scene) -> None:
    scene.ann.expect("logout")
    cy, target = scene.begin_both("cy", scene.cy)
    cy.expect(f"cancel_download {scene.group} n1.bin")
    wait_until(lambda: status(cy, "n2.bin")["state"], lambda state: bool(state == "waiting"), "waiting for others")
    login(scene.ann, "ann")
    final = wait_complete(cy, "n2.bin", SOON_S)
    assert (final["bytes_by_peer"], final["copied_from"]) == ({"ann": SIZE}, None)
    assert os.listdir(target) == ["n2.bin"]


def test_two_names_that_were_begun_are_resumed_and_fetched_once(scene: Scene) -> None:
    scene.ann.expect("logout")
    cy, target = scene.begin_both("cy", scene.cy)
    login(scene.ann, "ann")
    assert wait_complete(cy, "n1.bin", SOON_S)["bytes_by_peer"] == {"ann": SIZE}
    assert wait_complete(cy, "n2.bin", SOON_S)["bytes_by_peer"] == {}
    assert sorted(os.listdir(target)) == ["n1.bin", "n2.bin"]
    assert all(filecmp.cmp(scene.file, target / name, shallow=False) for name in ("n1.bin", "n2.bin"))


def test_an_upload_of_the_same_content_ends_the_waiting_of_a_download(scene: Scene) -> None:
    scene.ann.expect("logout")
    target = scene.world.new_folder()
    cy = scene.world.begin_in_background(scene.cy, "cy", scene.group, "n1.bin", target)
    mine = scene.world.new_folder() / "n2.bin"
    mine.write_bytes(scene.file.read_bytes())
    upload(cy, mine, scene.group)
    assert wait_complete(cy, "n1.bin", SOON_S)["copied_from"] == str(mine)
    assert scene.get(scene.bob, "n1.bin")["bytes_by_peer"] == {"cy": SIZE}


def test_one_content_in_two_groups_is_copied_here_and_stays_two_to_everybody_else(scene: Scene) -> None:
    """cy is in both groups, bob in the first only, dee in the second only."""
    dee = scene.world.join_in("dee")
    second = scene.world.new_group(scene.ann, (scene.cy, "cy"), (dee, "dee"))
    upload(scene.ann, scene.file, second)
    first = scene.get(scene.cy, "n1.bin")
    copy = scene.get(scene.cy, "n1.bin", second)
    assert (copy["bytes_by_peer"], copy["copied_from"]) == ({}, first["path"])
    scene.ann.expect("logout")
    assert refusal(dee, f"list_files {scene.group}") == "not_member"
    assert scene.get(dee, "n1.bin", second)["bytes_by_peer"] == {"cy": SIZE}
    dee.expect(f"stop_share {second} n1.bin")
    # One group's share ends: the other group's goes on, and is no way into the first.
    scene.cy.expect(f"stop_share {scene.group} n1.bin")
    assert sharers(scene.bob, scene.group, "n1.bin") == 0
    assert sharers(dee, second, "n1.bin") == 1
    scene.bob.send(f"download_file {scene.group} n1.bin {scene.world.new_folder()}")
    scene.bob.wait_notice("download_waiting")
    scene.bob.stop()

"""Trackers that die, come back, or are two: what is durable stays, what runs goes on, what is wrong is said."""

import filecmp
import signal
import time

import pytest

from tests.end_to_end.world import (
    MIB,
    PASSWORD,
    World,
    download,
    login,
    refusal,
    sharers,
    upload,
    wait_complete,
    wait_fetched,
    wait_until,
)

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("trackers")]


def test_a_killed_tracker_comes_back_with_everything_and_clients_find_it_by_themselves(world: World) -> None:
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group, other_group = world.new_group(ann, (bob, "bob")), world.new_group(ann)
    bob.expect(f"join_group {other_group}")
    file, target = world.new_file(), world.new_folder()
    upload(ann, file, group)
    first_line = world.trackers[1].ready_line
    world.trackers[1].stop(signal.SIGKILL)
    assert refusal(bob, f"list_files {group}") == "tracker_unavailable"
    world.start_tracker()
    assert world.trackers[1].ready_line == first_line
    wait_until(
        lambda: bob.run(f"list_files {group}"),
        lambda answer: bool(answer["ok"] and answer["files"] and answer["files"][0]["sharers_online"] == 1),
        "listed online again",
    )
    assert download(bob, group, "data.bin", target)["bytes_by_peer"] == {"ann": 1000}
    assert filecmp.cmp(file, target / "data.bin", shallow=False)
    assert ann.expect(f"list_requests {other_group}")["requests"] == ["bob"]
    groups = {one["group_id"]: one for one in bob.expect("list_groups")["groups"]}
    assert (groups[group]["standing"], groups[group]["member_count"]) == ("member", 2)
    assert groups[other_group]["standing"] == "requested"
    assert refusal(ann, "create_user bob other") == "user_taken"
    bob.expect("logout")
    assert login(bob, "bob")["shares_resumed"] == 1


def test_a_running_download_does_not_need_the_tracker(world: World) -> None:
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group = world.new_group(ann, (bob, "bob"))
    file, target = world.new_file("data.bin", 256 * MIB), world.new_folder()
    upload(ann, file, group)
    ann.expect("logout")
    bob = world.begin_in_background(bob, "bob", group, "data.bin", target)
    login(ann, "ann")
    wait_fetched(bob, "data.bin", 16 * MIB)
    world.trackers[1].stop(signal.SIGKILL)
    wait_complete(bob, "data.bin")
    assert filecmp.cmp(file, target / "data.bin", shallow=False)
    world.start_tracker()
    wait_until(
        lambda: ann.run(f"list_files {group}"),
        lambda answer: bool(answer["ok"] and answer["files"][0]["sharers_online"] == 2),
        "both listed online",
    )


def test_a_tracker_that_does_not_answer_is_said_soon_and_found_when_it_is_there(bare_world: World) -> None:
    client = bare_world.start_client("ann")
    client.expect("help")
    begun_s = time.monotonic()
    answer = client.run(f"create_user ann {PASSWORD}")
    assert answer["error"]["code"] == "tracker_unavailable"
    assert "127.0.0.1" in answer["error"]["message"]
    assert time.monotonic() - begun_s < 15
    bare_world.start_tracker()
    client.expect(f"create_user ann {PASSWORD}")
    login(client, "ann")


def test_another_tracker_in_its_place_is_not_trusted(world: World) -> None:
    ann = world.join_in("ann")
    ann.close()
    world.trackers[1].stop()
    (world.folder / "tracker").rename(world.folder / "old-tracker")
    world.start_tracker()
    ann = world.start_client("ann")
    answer = ann.run(f"login ann {PASSWORD}")
    assert answer["error"]["code"] == "tracker_untrusted"
    assert answer["error"]["message"].count("sha256:") == 2


@pytest.fixture
def two_trackers(bare_world: World) -> World:
    port = bare_world.port_of("second tracker")
    with bare_world.tracker_info.open("a") as file:
        file.write(f"127.0.0.1 {port}\n")
    bare_world.start_tracker(1)
    bare_world.start_tracker(2)
    return bare_world


def test_two_trackers_are_one_and_losing_the_first_loses_nothing(two_trackers: World) -> None:
    world = two_trackers
    assert world.trackers[1].ready_line.split()[-1] == world.trackers[2].ready_line.split()[-1]
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group = world.new_group(ann, (bob, "bob"))
    file = world.new_file()
    upload(ann, file, group)
    world.trackers[1].stop(signal.SIGKILL)
    begun_s = time.monotonic()
    assert sharers(bob, group, "data.bin") == 1
    assert time.monotonic() - begun_s < 5
    target = world.new_folder()
    assert download(bob, group, "data.bin", target)["bytes_by_peer"] == {"ann": 1000}
    cid = world.join_in("cid")  # a client that never saw the first one
    cid.expect(f"join_group {group}")
    ann.expect(f"accept_request {group} cid")
    target = world.new_folder()
    assert sum(download(cid, group, "data.bin", target)["bytes_by_peer"].values()) == 1000
    ann.expect("logout")
    assert login(ann, "ann")["shares_resumed"] == 1
    world.start_tracker(1)
    world.trackers[2].stop(signal.SIGKILL)  # back on the first, which had lost all its memory
    wait_until(
        lambda: cid.run(f"list_files {group}"),
        lambda answer: bool(answer["ok"] and answer["files"][0]["sharers_online"] == 3),
        "all listed online by the first again",
    )


def test_a_client_that_is_gone_without_a_word_is_not_listed_for_long(world: World) -> None:
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group = world.new_group(ann, (bob, "bob"))
    upload(ann, world.new_file(), group)
    ann.kill()
    wait_until(lambda: sharers(bob, group, "data.bin"), lambda n: bool(n == 0), "offline", 5)

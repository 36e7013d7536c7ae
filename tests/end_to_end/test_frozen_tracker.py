"""The first of two trackers hangs, as a stopped process does: its system goes on taking connections and bytes, nobody
answers. Nothing that a person does waits for it, and when it wakes it has missed nothing.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.end_to_end.world import PASSWORD, Answer, World, download, login, sharers, upload, wait_until
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("trackers")]

_PROMPTLY_S = 4.0
"""Every command is there after 1.5 s on a machine with nothing else to do; waiting for whoever hangs took 5 or 30."""
_LEAVING_S = 2.0


@pytest.fixture
def two_trackers(bare_world: World) -> World:
    port = bare_world.port_of("second tracker")
    with bare_world.tracker_info.open("a") as file:
        file.write(f"127.0.0.1 {port}\n")
    bare_world.start_tracker(1)
    bare_world.start_tracker(2)
    return bare_world


@contextmanager
def first_frozen(world: World) -> Iterator[None]:
    process_id = world.trackers[1].process.pid
    os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process_id, signal.SIGCONT)


def prompt(client: ShellProcess, command: str) -> Answer:
    begun_s = time.monotonic()
    answer = client.expect(command)
    took_s = time.monotonic() - begun_s
    assert took_s < _PROMPTLY_S, f"{command} took {took_s:.1f} s"
    return answer


def leave(client: ShellProcess) -> None:
    begun_s = time.monotonic()
    assert client.close() == 0
    assert time.monotonic() - begun_s < _PROMPTLY_S


def test_a_new_client_does_not_wait_for_a_tracker_that_hangs(two_trackers: World) -> None:
    with first_frozen(two_trackers):
        client = two_trackers.start_client("ann")
        client.expect("help")
        for command in (f"create_user ann {PASSWORD}", f"login ann {PASSWORD}", "create_group lab", "list_groups"):
            prompt(client, command)
        leave(client)


def test_a_person_not_logged_in_yet_does_not_wait_for_a_tracker_that_begins_to_hang(two_trackers: World) -> None:
    client = two_trackers.start_client("ann")
    client.expect(f"create_user ann {PASSWORD}")
    with first_frozen(two_trackers):
        for command in (f"create_user bob {PASSWORD}", f"login ann {PASSWORD}", "list_groups"):
            prompt(client, command)
        leave(client)


def test_no_command_waits_for_a_tracker_that_begins_to_hang(two_trackers: World) -> None:
    world = two_trackers
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group = world.new_group(ann, (bob, "bob"))
    file, target = world.new_file("data.bin"), world.new_folder()
    with first_frozen(world):
        prompt(ann, "create_group other")
        prompt(ann, f"upload_file {file} {group}")
        assert sharers(bob, group, "data.bin") == 1
        assert download(bob, group, "data.bin", target)["bytes_by_peer"] == {"ann": 1000}
        for command in (f"stop_share {group} data.bin", f"change_password {PASSWORD} new-word", "list_groups"):
            prompt(ann, command)
        prompt(ann, "logout")
        prompt(ann, "login ann new-word")
        leave(bob)
    assert [one["group_id"] for one in ann.expect("list_groups")["groups"]] == sorted([group, "other"])


def test_a_tracker_that_hung_hears_what_it_missed_when_it_wakes(two_trackers: World) -> None:
    world = two_trackers
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group = world.new_group(ann, (bob, "bob"))
    with first_frozen(world):
        upload(ann, world.new_file("data.bin"), group)
    world.trackers[2].stop(signal.SIGKILL)
    wait_until(
        lambda: bob.run(f"list_files {group}"),
        lambda answer: bool(answer["ok"] and answer["files"] and answer["files"][0]["sharers_online"] == 1),
        "listed online by the tracker that hung",
    )


@contextmanager
def all_frozen(world: World) -> Iterator[None]:
    process_ids = [tracker.process.pid for tracker in world.trackers.values()]
    for process_id in process_ids:
        os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        for process_id in process_ids:
            os.kill(process_id, signal.SIGCONT)


def test_a_share_ends_at_once_while_every_tracker_hangs_and_the_list_hears_of_it_later(two_trackers: World) -> None:
    ann = two_trackers.join_in("ann")
    group = two_trackers.new_group(ann)
    for name in ("one.bin", "two.bin"):
        upload(ann, two_trackers.new_file(name), group)
    with all_frozen(two_trackers):
        for name in ("one.bin", "two.bin"):
            answer = prompt(ann, f"stop_share {group} {name}")
            assert (answer["is_pending"], answer["is_removed"]) == (True, False)
        assert prompt(ann, "show_shares")["shares"] == []
    wait_until(lambda: ann.expect(f"list_files {group}")["files"], lambda files: files == [], "said to a tracker")


def test_no_command_waits_long_while_every_tracker_hangs(two_trackers: World) -> None:
    ann, stranger = two_trackers.join_in("ann"), two_trackers.start_client("ann2")
    login(stranger, "ann")
    stranger.expect("logout")
    group, file = two_trackers.new_group(ann), two_trackers.new_file()
    with all_frozen(two_trackers):
        for client, command in (
            (ann, f"list_files {group}"),
            (ann, f"upload_file {file} {group}"),
            (stranger, f"login ann {PASSWORD}"),
        ):
            begun_s = time.monotonic()
            answer = client.run(command)
            assert answer["error"]["code"] == "tracker_unavailable"
            assert "no tracker answers" in answer["error"]["message"]
            assert time.monotonic() - begun_s < _PROMPTLY_S, command
        for leaving in (lambda: ann.expect("logout"), ann.close, stranger.close):
            begun_s = time.monotonic()
            leaving()
            assert time.monotonic() - begun_s < _LEAVING_S

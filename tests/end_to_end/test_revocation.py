"""Putting somebody out, and logging out one's own sessions elsewhere: seen from the shells of everybody concerned."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import (
    MIB,
    PASSWORD,
    World,
    download,
    login,
    refusal,
    status,
    upload,
    wait_complete,
    wait_fetched,
    wait_until,
)
from tests.testkit.raw_member import RawMember, RawTracker
from tracker.protocol import events, requests, results
from tracker.protocol.addresses import TrackerAddress

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("revocation")]


def test_who_is_put_out_gets_no_more_of_a_running_download_and_gets_in_nowhere(world: World) -> None:
    ann, bob, cid = (world.join_in(name) for name in ("ann", "bob", "cid"))
    group = world.new_group(ann, (bob, "bob"), (cid, "cid"))
    file, target = world.new_file("data.bin", 256 * MIB), world.new_folder()
    small = world.new_file("small.bin", 1000)
    upload(ann, file, group)
    upload(ann, small, group)
    ann.expect("logout")
    bob = world.begin_in_background(bob, "bob", group, "data.bin", target)
    login(ann, "ann")
    wait_fetched(bob, "data.bin", MIB)
    assert refusal(cid, f"remove_member {group} bob") == "not_owner"
    assert refusal(ann, f"remove_member {group} nobody") == "no_such_member"
    answer = ann.expect(f"remove_member {group} bob")
    assert (answer["group_id"], answer["user_id"]) == (group, "bob")
    bob.wait_notice("left_group")
    wait_until(
        lambda: [one["state"] for one in bob.expect("show_downloads")["downloads"]],
        lambda states: bool(states == ["failed"]),
        "failed",
    )
    got_bytes = status(bob, "data.bin")["verified_bytes"]
    assert 0 < got_bytes < 256 * MIB
    assert sorted(os.listdir(target)) == [".data.bin.part", ".data.bin.part.journal"]
    assert refusal(bob, f"list_files {group}") == "not_member"
    assert download(cid, group, "small.bin", world.new_folder())["bytes_by_peer"] == {"ann": 1000}
    bob.expect(f"join_group {group}")
    ann.expect(f"accept_request {group} bob")
    assert download(bob, group, "small.bin", world.new_folder())["size_bytes"] == 1000
    assert sum(wait_complete(bob, "data.bin")["bytes_by_peer"].values()) == 256 * MIB - got_bytes


def test_a_changed_password_logs_out_every_other_machine_but_not_this_one(world: World) -> None:
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group = world.new_group(ann, (bob, "bob"))
    upload(ann, world.new_file("data.bin", 5 * MIB), group)
    laptop = world.start_client("laptop")
    login(laptop, "ann")
    assert refusal(ann, "change_password wrong new-pa55") == "login_failed"
    ann.expect(f"change_password {PASSWORD} new-pa55")
    assert laptop.wait_notice("session_ended")["message"].count("log in again") == 1
    assert refusal(laptop, "list_groups") == "not_logged_in"
    assert refusal(laptop, f"login ann {PASSWORD}") == "login_failed"
    assert download(bob, group, "data.bin", world.new_folder())["bytes_by_peer"] == {"ann": 5 * MIB}
    laptop.expect("login ann new-pa55")
    ann.expect("revoke_sessions")
    wait_until(lambda: refusal(laptop, "list_groups"), lambda code: bool(code == "not_logged_in"), "logged out")
    assert ann.expect(f"list_files {group}")["files"][0]["sharers_online"] == 2


@pytest.fixture
def two_trackers(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, 2)
    world.start_tracker(1)
    world.start_tracker(2)
    yield world
    world.close()


def test_a_thief_on_one_tracker_is_out_when_the_password_is_changed_on_the_other(two_trackers: World) -> None:
    lines = [line.split() for line in two_trackers.tracker_info.read_text().splitlines()]
    first, second = (TrackerAddress(host, int(port)) for host, port, *_ in lines[:2])
    for number in range(5):  # as often as not the first tracker has heard of it by then
        user_id, group = f"ann{number}", f"lab{number}"
        ann = RawMember(second, user_id)
        ann.enter(PASSWORD)
        assert ann.tracker.ask(requests.CreateGroup(group)) == results.Done()
        thief = RawMember(first, user_id)
        of_thief = thief.enter(PASSWORD, is_new=False)
        later = RawMember(first, user_id)
        later.key = thief.key
        answer = ann.tracker.ask(requests.ChangePassword(PASSWORD, "better"))
        assert isinstance(answer, results.LoggedIn)
        for theft in (requests.RevokeSessions(), requests.Renew(), requests.GetTicket(group)):
            assert code_of(thief.tracker.ask(theft)) in ("session_ended", "not_logged_in")
        proof = later.login_request("").proof
        assert code_of(later.tracker.ask(requests.Resume(of_thief.certificate_pem, proof))) == "session_ended"
        assert code_of(later.tracker.ask(later.login_request(PASSWORD))) == "login_failed"
        wait_for_the_end(thief.tracker)
        assert code_of(thief.tracker.ask(requests.ListRequests(group))) == "not_logged_in"
        for request in (requests.GetTicket(group), requests.ListRequests(group), requests.Renew()):
            assert not isinstance(ann.tracker.ask(request), results.Refused)
        for each in (ann, thief, later):
            each.close()


def code_of(answer: results.Result) -> str:
    assert isinstance(answer, results.Refused), answer
    return answer.code


def wait_for_the_end(connection: RawTracker) -> None:
    """Until this tracker has heard of it, and says so."""
    while not any(isinstance(event, events.SessionEnded) for event in connection.events):
        connection.events.append(connection.receive())

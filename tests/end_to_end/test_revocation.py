"""Putting somebody out, and logging out one's own sessions elsewhere: seen from the shells of everybody concerned."""

import pytest

from tests.end_to_end.world import MIB, PASSWORD, World, download, login, refusal, upload, wait_fetched, wait_until

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("revocation")]


def test_who_is_put_out_loses_the_running_download_and_gets_in_nowhere(world: World) -> None:
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
        lambda states: bool(states == ["cancelled"]),
        "given up",
    )
    assert list(target.iterdir()) == []
    assert refusal(bob, f"list_files {group}") == "not_member"
    assert download(cid, group, "small.bin", world.new_folder())["bytes_by_peer"] == {"ann": 1000}
    bob.expect(f"join_group {group}")
    ann.expect(f"accept_request {group} bob")
    assert download(bob, group, "small.bin", world.new_folder())["size_bytes"] == 1000


def test_a_changed_password_logs_out_every_other_machine_but_not_this_one(world: World) -> None:
    ann, bob = world.join_in("ann"), world.join_in("bob")
    group = world.new_group(ann, (bob, "bob"))
    upload(ann, world.new_file("data.bin", 5 * MIB), group)
    laptop = world.start_client("laptop")
    login(laptop, "ann")
    assert refusal(ann, "change_password wrong new-pa55") == "login_failed"
    ann.expect(f"change_password {PASSWORD} new-pa55")
    laptop.wait_notice("session_ended")
    assert refusal(laptop, "list_groups") == "not_logged_in"
    assert refusal(laptop, f"login ann {PASSWORD}") == "login_failed"
    assert download(bob, group, "data.bin", world.new_folder())["bytes_by_peer"] == {"ann": 5 * MIB}
    laptop.expect("login ann new-pa55")
    ann.expect("revoke_sessions")
    wait_until(lambda: refusal(laptop, "list_groups"), lambda code: bool(code == "not_logged_in"), "logged out")
    assert ann.expect(f"list_files {group}")["files"][0]["sharers_online"] == 2

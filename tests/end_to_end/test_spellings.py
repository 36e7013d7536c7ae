"""Ids typed in other capital letters, names and passwords typed in another Unicode normal form: one thing each."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import PASSWORD, World, download, login, quote, refusal, upload
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("spellings")]

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
SIZE_BYTES = 300_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("spellings"))
    try:
        world.start_tracker()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def giver(world: World) -> ShellProcess:
    return world.join_in("Giver")


@pytest.fixture(scope="module")
def taker(world: World) -> ShellProcess:
    return world.join_in("Taker")


def new_group(giver: ShellProcess, taker: ShellProcess, group_id: str) -> str:
    """Made by one, joined by the other, who types everything in capital letters."""
    giver.expect(f"create_group {group_id}")
    taker.expect(f"join_group {group_id.upper()}")
    giver.expect(f"accept_request {group_id.upper()} TAKER")
    return group_id.upper()


def test_who_types_another_case_is_the_same_account_with_the_same_shares(world: World) -> None:
    client = world.join_in("Bob")
    assert refusal(client, f"create_user bob {PASSWORD}") == "user_taken"
    client.expect("create_group Bobs")
    assert refusal(client, "create_group bobs") == "group_taken"
    upload(client, world.new_file("kept.bin"), "bobs")
    client.expect("logout")
    report = login(client, "bOB")
    assert (report["user_id"], report["shares_resumed"]) == ("Bob", 1)
    client.expect("logout")
    assert refusal(client, "login bob guess") == "login_failed"
    client.stop()


@pytest.mark.parametrize("user_id", ["\u0430nn", "\uff41nn", "..", "-x", "--help", "ann@lab"], ids=ascii)
def test_an_id_that_may_be_taken_for_another_is_refused_before_the_tracker_is_asked(
    giver: ShellProcess, user_id: str
) -> None:
    assert refusal(giver, f"create_user {user_id} {PASSWORD}") == "bad_name"
    assert refusal(giver, f"create_group {user_id}") == "bad_name"


def test_a_whole_transfer_in_the_wrong_case_has_the_right_names(
    world: World, giver: ShellProcess, taker: ShellProcess
) -> None:
    typed = new_group(giver, taker, "Cases")
    file, target = world.new_file("data.bin", SIZE_BYTES), world.new_folder()
    assert upload(giver, file, "cases")["group_id"] == "Cases"
    (entry,) = taker.expect(f"list_files {typed}")["files"]
    assert (entry["name"], entry["publisher"], entry["sharers_online"]) == ("data.bin", "Giver", 1)
    report = download(taker, typed, "data.bin", target)
    assert (report["group_id"], report["bytes_by_peer"]) == ("Cases", {"Giver": SIZE_BYTES})
    assert (target / "data.bin").read_bytes() == file.read_bytes()
    stopped = taker.expect(f"stop_share {typed} data.bin")
    assert (stopped["group_id"], stopped["name"]) == ("Cases", "data.bin")
    assert taker.expect("leave_group cASES")["group_id"] == "Cases"
    assert refusal(taker, "list_files Cases") == "not_member"
    assert giver.expect("stop_share CASES data.bin")["is_removed"]


def test_every_answer_about_a_group_and_its_members_has_their_makers_spelling(
    giver: ShellProcess, taker: ShellProcess
) -> None:
    giver.expect("create_group Club")
    assert taker.expect("join_group CLUB")["group_id"] == "Club"
    requests = giver.expect("list_requests cLUB")
    assert (requests["group_id"], requests["requests"]) == ("Club", ["Taker"])
    for command in ("reject_request", "accept_request", "remove_member", "accept_request", "transfer_ownership"):
        answer = giver.expect(f"{command} CLUB tAKER")
        assert (answer["group_id"], answer["user_id"]) == ("Club", "Taker"), command
        if command in ("reject_request", "remove_member"):
            assert taker.expect("join_group club")["group_id"] == "Club"
    assert giver.expect("list_files CLUB")["group_id"] == "Club"
    assert taker.expect("audit CLUB")["group_id"] == "Club"
    taker.expect("leave_group club")
    giver.expect("leave_group club")


def test_a_download_is_called_off_in_any_case_and_form(world: World, giver: ShellProcess, taker: ShellProcess) -> None:
    typed = new_group(giver, taker, "Waits")
    file, target = world.new_file(DECOMPOSED, SIZE_BYTES), world.new_folder()
    upload(giver, file, typed)
    giver.expect("logout")
    waiting = world.begin_in_background(taker, "Taker", typed, COMPOSED, target)
    (status,) = waiting.expect("show_downloads")["downloads"]
    assert (status["group_id"], status["name"]) == ("Waits", DECOMPOSED)
    waiting.expect(f"cancel_download waits {COMPOSED}")
    assert os.listdir(target) == []
    waiting.stop()
    login(giver, "giver")


@pytest.mark.parametrize(("published", "typed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=ascii)
def test_a_file_is_one_in_every_normal_form_and_keeps_its_publishers(
    world: World, giver: ShellProcess, published: str, typed: str
) -> None:
    user_id = world.new_name("user")
    taker = world.join_in(user_id)
    group = world.new_group(giver, (taker, user_id))
    file, target = world.new_file(published, SIZE_BYTES), world.new_folder()
    upload(giver, file, group)
    other = world.new_file(typed, 77)
    assert refusal(taker, f"upload_file {quote(other)} {group}") == "file_conflict"
    report = download(taker, group, typed, target)
    assert report["name"] == published
    assert os.listdir(target) == [published]
    same = world.new_folder() / typed
    same.write_bytes(file.read_bytes())
    taker.expect(f"stop_share {group} {typed}")
    report = upload(taker, same, group)
    assert (report["name"], report["was_known"]) == (published, True)
    (entry,) = taker.expect(f"list_files {group}")["files"]
    assert (entry["name"], entry["sharers_online"]) == (published, 2)
    explicit = download_again(world, taker, group, typed)
    assert explicit.read_bytes() == file.read_bytes()
    taker.stop()


def download_again(world: World, taker: ShellProcess, group: str, typed: str) -> Path:
    """To a path of one's own, which is the user's choice, in whichever form."""
    target = world.new_folder() / typed
    taker.expect(f"stop_share {group} {typed}")
    download(taker, group, typed, target)
    assert os.listdir(target.parent) == [typed]
    return target


@pytest.mark.parametrize("name", ["\u3164", "\u2800", "\u200d\u200c", "\u00a0", " "], ids=ascii)
def test_a_file_of_no_visible_name_is_not_shared(world: World, giver: ShellProcess, name: str) -> None:
    group = world.new_group(giver)
    assert refusal(giver, f"upload_file {quote(world.new_file(name))} {group}") == "bad_name"
    assert giver.expect(f"list_files {group}")["files"] == []


def test_a_password_is_one_in_every_normal_form(world: World) -> None:
    client = world.start_client("typist")
    client.expect(f"create_user typist {COMPOSED}")
    for typed in (DECOMPOSED, COMPOSED):
        client.expect(f"login typist {typed}")
        client.expect("logout")
    assert refusal(client, "login typist cafe") == "login_failed"
    client.stop()

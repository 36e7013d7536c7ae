"""Every command of the table, success and refusal, on real processes that are driven with --json."""

import filecmp
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.end_to_end.world import (
    PASSWORD,
    Answer,
    World,
    download,
    login,
    quote,
    refusal,
    sharers,
    status,
    upload,
    wait_complete,
    wait_until,
)
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("commands")]

TABLE = {
    "logout": "",
    "change_password": "old new",
    "revoke_sessions": "",
    "create_invite": "",
    "create_group": "g",
    "join_group": "g",
    "leave_group": "g",
    "list_requests": "g",
    "accept_request": "g u",
    "reject_request": "g u",
    "remove_member": "g u",
    "transfer_ownership": "g u",
    "audit": "g",
    "list_groups": "",
    "list_files": "g",
    "upload_file": "/etc/hostname g",
    "download_file": "g f /tmp",
    "show_downloads": "",
    "show_shares": "",
    "cancel_download": "g f",
    "stop_share": "g f",
    "serve": "",
}


@dataclass
class Lab:
    """ann and bob are logged in; so is cid, who is in no group."""

    world: World
    ann: ShellProcess
    bob: ShellProcess
    cid: ShellProcess

    def group(self) -> str:
        """A new one: ann owns it, bob is a member."""
        return self.world.new_group(self.ann, (self.bob, "bob"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    world = World(tmp_path_factory.mktemp("lab"))
    try:
        world.start_tracker()
        yield Lab(world, world.join_in("ann"), world.join_in("bob"), world.join_in("cid"))
    finally:
        world.close()


def standing(client: ShellProcess, group_id: str) -> Answer | None:
    groups: list[Answer] = client.expect("list_groups")["groups"]
    return next((group for group in groups if group["group_id"] == group_id), None)


# ---------------------------------------------------------------- accounts


def test_an_account_is_made_once(lab: Lab) -> None:
    assert lab.cid.expect("create_user eve pw")["user_id"] == "eve"
    assert refusal(lab.cid, "create_user eve other") == "user_taken"


@pytest.mark.parametrize("user_id", ["''", "'with space'", "a/b", "x" * 65, "'new\u202eline'"])
def test_an_id_that_could_mislead_is_refused(lab: Lab, user_id: str) -> None:
    assert refusal(lab.cid, f"create_user {user_id} pw") == "bad_name"
    assert refusal(lab.cid, f"create_group {user_id}") == "bad_name"


def test_an_empty_password_is_refused(lab: Lab) -> None:
    assert refusal(lab.cid, "create_user fay ''") == "bad_password"


def test_logging_in_twice_is_refused(lab: Lab) -> None:
    assert refusal(lab.ann, f"login ann {PASSWORD}") == "logged_in"


def test_a_wrong_password_and_an_unknown_user_read_the_same(lab: Lab) -> None:
    client = lab.world.start_client("stranger")
    wrong = client.run("login ann wrong")
    unknown = client.run("login nobody wrong")
    assert (wrong["ok"], wrong["error"]["code"]) == (False, "login_failed")
    assert wrong == unknown
    assert client.run(f"login ann {PASSWORD}")["ok"]  # the account was not harmed; two clients may share it
    assert client.close() == 1


def test_everything_but_entering_and_help_needs_a_login(lab: Lab) -> None:
    client = lab.world.start_client("outsider")
    codes = {command: refusal(client, f"{command} {words}") for command, words in TABLE.items()}
    assert codes == dict.fromkeys(TABLE, "not_logged_in")
    client.close()


def test_after_logout_nothing_goes_until_the_next_login(lab: Lab) -> None:
    client = lab.world.join_in("gus")
    client.expect("logout")
    assert refusal(client, "list_groups") == "not_logged_in"
    assert refusal(client, "logout") == "not_logged_in"
    login(client, "gus")
    assert client.run("list_groups")["ok"]
    client.close()


# ---------------------------------------------------------------- groups


def test_who_makes_a_group_owns_it_and_its_name_is_taken(lab: Lab) -> None:
    group = lab.world.new_group(lab.ann)
    made = {"group_id": group, "owner": "ann", "member_count": 1, "standing": "owner", "is_open": False}
    assert standing(lab.ann, group) == made
    assert refusal(lab.bob, f"create_group {group}") == "group_taken"


def test_joining_takes_a_request_and_the_owners_yes(lab: Lab) -> None:
    group = lab.world.new_group(lab.ann)
    lab.ann.notices.clear()
    lab.bob.notices.clear()
    lab.bob.expect(f"join_group {group}")
    assert "bob" in lab.ann.wait_notice("request_arrived")["message"]
    waiting = standing(lab.bob, group)
    assert waiting is not None
    assert waiting["standing"] == "requested"
    assert refusal(lab.bob, f"list_files {group}") == "not_member"
    assert lab.ann.expect(f"list_requests {group}")["requests"] == ["bob"]
    assert lab.ann.expect(f"requests list_requests {group}")["requests"] == ["bob"]
    lab.ann.expect(f"accept_request {group} bob")
    assert group in lab.bob.wait_notice("request_answered")["message"]
    assert lab.ann.expect(f"list_requests {group}")["requests"] == []
    member = standing(lab.bob, group)
    assert member == {
        "group_id": group, "owner": "ann", "member_count": 2, "standing": "member", "is_open": False,
    }  # fmt: skip


def test_an_open_group_is_listed_as_open(lab: Lab) -> None:
    group = f"{lab.world.new_group(lab.ann)}-open"
    lab.ann.expect(f"create_group {group} --open")
    listed = standing(lab.bob, group)
    assert listed is not None
    assert listed["is_open"] is True


def test_joining_is_refused_to_who_is_in_or_has_asked_and_where_nothing_is(lab: Lab) -> None:
    group = lab.group()
    assert refusal(lab.ann, f"join_group {group}") == "already_member"
    assert refusal(lab.bob, f"join_group {group}") == "already_member"
    lab.cid.expect(f"join_group {group}")
    assert refusal(lab.cid, f"join_group {group}") == "already_requested"
    assert refusal(lab.cid, "join_group nowhere") == "no_such_group"


def test_a_rejected_request_is_gone_and_may_be_made_again(lab: Lab) -> None:
    group = lab.world.new_group(lab.ann)
    lab.cid.expect(f"join_group {group}")
    lab.cid.notices.clear()
    lab.ann.expect(f"reject_request {group} cid")
    assert group in lab.cid.wait_notice("request_answered")["message"]
    assert refusal(lab.cid, f"list_files {group}") == "not_member"
    assert refusal(lab.ann, f"accept_request {group} cid") == "no_such_request"
    lab.cid.expect(f"join_group {group}")
    assert lab.ann.expect(f"list_requests {group}")["requests"] == ["cid"]


@pytest.mark.parametrize("command", ["list_requests {}", "accept_request {} cid", "reject_request {} cid"])
def test_requests_are_the_owners_business(lab: Lab, command: str) -> None:
    group = lab.group()
    lab.cid.expect(f"join_group {group}")
    assert refusal(lab.bob, command.format(group)) == "not_owner"
    assert refusal(lab.cid, command.format(group)) == "not_member"
    assert refusal(lab.ann, command.format("nowhere")) == "no_such_group"
    assert lab.ann.expect(f"list_requests {group}")["requests"] == ["cid"]


@pytest.mark.parametrize("command", ["accept_request", "reject_request"])
def test_a_request_that_was_not_made_cannot_be_answered(lab: Lab, command: str) -> None:
    group = lab.group()
    for user_id in ("cid", "bob", "nobody"):
        assert refusal(lab.ann, f"{command} {group} {user_id}") == "no_such_request"


def test_a_group_passes_to_the_longest_member_and_ends_with_the_last(lab: Lab) -> None:
    group = lab.world.new_group(lab.cid, (lab.bob, "bob"), (lab.ann, "ann"))
    left = lab.cid.expect(f"leave_group {group}")
    assert (left["new_owner"], left["is_removed"]) == ("bob", False)
    assert "bob" in lab.bob.wait_notice("owner_changed")["message"]
    assert refusal(lab.cid, f"list_files {group}") == "not_member"
    left = lab.ann.expect(f"leave_group {group}")
    assert (left["new_owner"], left["is_removed"]) == (None, False)
    left = lab.bob.expect(f"leave_group {group}")
    assert (left["new_owner"], left["is_removed"]) == (None, True)
    assert standing(lab.ann, group) is None
    assert refusal(lab.ann, f"join_group {group}") == "no_such_group"


def test_leaving_is_refused_to_who_is_not_in(lab: Lab) -> None:
    group = lab.group()
    assert refusal(lab.cid, f"leave_group {group}") == "not_member"
    assert refusal(lab.cid, "leave_group nowhere") == "no_such_group"


def test_what_a_leaver_shared_is_not_served_to_the_group_any_more(lab: Lab) -> None:
    group = lab.group()
    upload(lab.bob, lab.world.new_file(), group)
    assert sharers(lab.ann, group, "data.bin") == 1
    lab.bob.expect(f"leave_group {group}")
    assert sharers(lab.ann, group, "data.bin") == 0


# ---------------------------------------------------------------- files


def test_a_shared_file_is_listed_for_members_only(lab: Lab) -> None:
    group = lab.group()
    report = upload(lab.ann, lab.world.new_file(size_bytes=1234), group)
    assert (report["name"], report["size_bytes"], report["was_known"]) == ("data.bin", 1234, False)
    (entry,) = lab.bob.expect(f"list_files {group}")["files"]
    assert (entry["name"], entry["size_bytes"], entry["sharers_online"]) == ("data.bin", 1234, 1)
    assert (entry["publisher"], entry["root"]) == ("ann", report["root"])
    assert refusal(lab.cid, f"list_files {group}") == "not_member"
    assert refusal(lab.cid, f"download_file {group} data.bin {lab.world.folder}") == "not_member"
    assert refusal(lab.cid, "list_files nowhere") == "no_such_group"


def test_only_readable_files_can_be_shared_and_only_by_members(lab: Lab) -> None:
    group, folder = lab.group(), lab.world.new_folder()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    assert refusal(lab.ann, f"upload_file {folder}/none {group}") == "no_file"
    assert refusal(lab.ann, f"upload_file {folder} {group}") == "not_a_file"
    assert refusal(lab.ann, f"upload_file {folder}/pipe {group}") == "not_a_file"
    assert refusal(lab.ann, f"upload_file {folder}/loop {group}") == "unreadable"
    file = lab.world.new_file()
    assert refusal(lab.cid, f"upload_file {file} {group}") == "not_member"
    assert refusal(lab.ann, f"upload_file {file} nowhere") == "no_such_group"
    assert lab.bob.expect(f"list_files {group}")["files"] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_without_permission_is_refused(lab: Lab) -> None:
    group, file = lab.group(), lab.world.new_file()
    file.chmod(0)
    assert refusal(lab.ann, f"upload_file {file} {group}") == "unreadable"


def test_a_name_stands_for_one_content_in_a_group(lab: Lab) -> None:
    group, other_group = lab.group(), lab.group()
    first, second = lab.world.new_file(), lab.world.new_file()
    upload(lab.ann, first, group)
    assert refusal(lab.bob, f"upload_file {second} {group}") == "file_conflict"
    assert sharers(lab.ann, group, "data.bin") == 1
    upload(lab.bob, second, other_group)
    target = lab.world.new_folder()
    assert download(lab.bob, group, "data.bin", target)["bytes_by_peer"] == {"ann": 1000}
    assert filecmp.cmp(first, target / "data.bin", shallow=False)


def test_the_same_content_makes_another_sharer(lab: Lab) -> None:
    group, file = lab.group(), lab.world.new_file()
    assert upload(lab.ann, file, group)["was_known"] is False
    assert upload(lab.bob, file, group)["was_known"] is True
    assert sharers(lab.ann, group, "data.bin") == 2


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_download_goes_into_a_folder_or_to_a_path_and_is_shared_from_there(lab: Lab, is_folder: bool) -> None:
    group, file, folder = lab.group(), lab.world.new_file(size_bytes=700_000), lab.world.new_folder()
    upload(lab.ann, file, group)
    target = folder / "data.bin" if is_folder else folder / "renamed.bin"
    report = download(lab.bob, group, "data.bin", folder if is_folder else target)
    assert (report["state"], report["path"], report["bytes_by_peer"]) == ("complete", str(target), {"ann": 700_000})
    assert filecmp.cmp(file, target, shallow=False)
    assert os.listdir(folder) == [target.name]
    assert sharers(lab.ann, group, "data.bin") == 2


def test_an_existing_other_file_is_never_touched(lab: Lab) -> None:
    group, file, folder = lab.group(), lab.world.new_file(), lab.world.new_folder()
    upload(lab.ann, file, group)
    (folder / "data.bin").write_bytes(b"mine")
    (folder / "link").symlink_to(file)
    assert refusal(lab.bob, f"download_file {group} data.bin {folder}") == "target_exists"
    assert refusal(lab.bob, f"download_file {group} data.bin {folder}/link") == "target_exists"
    assert (folder / "data.bin").read_bytes() == b"mine"
    assert sharers(lab.ann, group, "data.bin") == 1


def test_an_existing_same_file_is_verified_and_shared_without_a_fetch(lab: Lab) -> None:
    group, file = lab.group(), lab.world.new_file()
    upload(lab.ann, file, group)
    copy = lab.world.new_folder() / "data.bin"
    copy.write_bytes(file.read_bytes())
    report = download(lab.bob, group, "data.bin", copy)
    assert (report["state"], report["bytes_by_peer"]) == ("complete", {})
    assert sharers(lab.ann, group, "data.bin") == 2


def test_a_download_needs_a_file_and_a_folder(lab: Lab) -> None:
    group, folder = lab.group(), lab.world.new_folder()
    upload(lab.ann, lab.world.new_file(), group)
    assert refusal(lab.bob, f"download_file {group} none.bin {folder}") == "no_such_file"
    assert refusal(lab.bob, f"download_file {group} data.bin {folder}/none/data.bin") == "no_folder"
    assert refusal(lab.bob, f"download_file {group} data.bin {lab.world.tracker_info}/") == "no_folder"
    assert refusal(lab.bob, f"download_file nowhere data.bin {folder}") == "no_such_group"
    assert list(folder.iterdir()) == []


def test_a_download_of_nobodys_waits_and_starts_by_itself(lab: Lab) -> None:
    file = lab.world.new_file()
    dan = lab.world.join_in("dan")
    group = lab.world.new_group(dan, (lab.bob, "bob"), (lab.ann, "ann"))
    upload(dan, file, group)
    dan.expect("logout")
    target = lab.world.new_folder()
    lab.bob.notices.clear()
    lab.bob.send(f"download_file {group} data.bin {target}")
    assert "data.bin" in lab.bob.wait_notice("download_waiting")["message"]
    (listed,) = lab.ann.expect(f"list_files {group}")["files"]
    assert (listed["sharers_online"], listed["partial_online"]) == (0, 0), "bob has nothing yet"
    login(dan, "dan")
    report = lab.bob.result(timeout_s=10)
    assert (report["ok"], report["bytes_by_peer"]) == (True, {"dan": 1000})
    assert filecmp.cmp(file, target / "data.bin", shallow=False)
    dan.close()


def test_downloads_are_shown_with_all_their_numbers(lab: Lab) -> None:
    group, file = lab.group(), lab.world.new_file()
    upload(lab.ann, file, group)
    fay = lab.world.join_in("fay")
    assert fay.expect("show_downloads")["downloads"] == []
    fay.expect(f"join_group {group}")
    lab.ann.expect(f"accept_request {group} fay")
    report = download(fay, group, "data.bin", lab.world.new_folder())
    shown = status(fay, "data.bin")
    assert (shown["group_id"], shown["state"], shown["path"]) == (group, "complete", report["path"])
    assert (shown["size_bytes"], shown["verified_bytes"]) == (1000, 1000)
    assert shown["bytes_by_peer"] == {"ann": 1000}
    fay.close()


def test_a_cancelled_download_leaves_nothing_and_can_be_begun_again(lab: Lab) -> None:
    hal, ida = lab.world.join_in("hal"), lab.world.join_in("ida")
    group = lab.world.new_group(hal, (ida, "ida"))
    file, target = lab.world.new_file(), lab.world.new_folder()
    upload(hal, file, group)
    hal.expect("logout")
    ida = lab.world.begin_in_background(ida, "ida", group, "data.bin", target)
    wait_until(lambda: status(ida, "data.bin")["state"], lambda s: bool(s == "waiting"), "waiting")
    assert refusal(ida, f"download_file {group} data.bin {target}/other.bin") == "downloading"
    assert refusal(ida, f"stop_share {group} data.bin") == "downloading"
    assert refusal(ida, f"cancel_download {group} other.bin") == "no_such_download"
    ida.expect(f"cancel_download {group} data.bin")
    assert status(ida, "data.bin")["state"] == "cancelled"
    assert list(target.iterdir()) == []
    assert refusal(ida, f"cancel_download {group} data.bin") == "no_such_download"
    ida.expect("logout")
    assert login(ida, "ida")["downloads_resumed"] == 0
    login(hal, "hal")
    assert download(ida, group, "data.bin", target)["state"] == "complete"
    assert refusal(ida, f"cancel_download {group} data.bin") == "no_such_download"
    hal.close()
    ida.close()


def test_a_stopped_share_is_over_for_good_and_the_file_stays(lab: Lab) -> None:
    group, file = lab.group(), lab.world.new_file()
    upload(lab.ann, file, group)
    kim = lab.world.join_in("kim")
    kim.expect(f"join_group {group}")
    lab.ann.expect(f"accept_request {group} kim")
    path = download(kim, group, "data.bin", lab.world.new_folder())["path"]
    assert sharers(lab.ann, group, "data.bin") == 2
    assert kim.expect(f"stop_share {group} data.bin")["is_removed"] is False
    assert refusal(kim, f"stop_share {group} data.bin") == "not_shared"
    kim.expect("logout")
    assert login(kim, "kim")["shares_resumed"] == 0
    assert sharers(lab.ann, group, "data.bin") == 1
    assert os.path.exists(path)
    assert lab.ann.expect(f"stop_share {group} data.bin")["is_removed"] is True
    assert lab.ann.expect(f"list_files {group}")["files"] == []
    kim.close()


# ---------------------------------------------------------------- lines and exit codes


def test_an_unknown_command_and_a_wrong_number_of_words_are_said(lab: Lab) -> None:
    assert refusal(lab.ann, "upload_fil x y") == "unknown_command"
    assert "upload_file" in lab.ann.run("upload_fil x y")["error"]["message"]
    for command in (*TABLE, "create_user", "login", "help", "exit"):
        assert refusal(lab.ann, f"{command} 1 2 3 4") == "usage"
    for command in ("login", "create_group", "upload_file /etc/hostname", "download_file g f", "requests"):
        assert refusal(lab.ann, command) == "usage"
    assert refusal(lab.ann, "create_group 'open") == "quoting"


def test_help_knows_every_command(lab: Lab) -> None:
    listed = {command["name"] for command in lab.ann.expect("help")["commands"]}
    assert listed == {*TABLE, "create_user", "login", "help", "exit"}
    for name in listed:
        (command,) = lab.ann.expect(f"help {name}")["commands"]
        assert command["usage"].startswith(name)
    assert refusal(lab.ann, "help nonsense") == "unknown_command"


@pytest.mark.parametrize(("script", "code"), [("", 0), ("help", 0), ("nonsense", 1), ("nonsense\nhelp", 1)])
def test_the_exit_code_says_whether_a_command_failed(bare_world: World, script: str, code: int) -> None:
    client = bare_world.start_client("ann")
    for line in script.splitlines():
        client.run(line)
    assert client.close() == code


def test_a_script_that_waits_no_longer_fails_with_the_reason_and_the_download_goes_on(lab: Lab) -> None:
    file, ike = lab.world.new_file("late.bin"), lab.world.join_in("ike")
    group = lab.world.new_group(ike, (lab.bob, "bob"))
    upload(ike, file, group)
    ike.expect("logout")
    target = lab.world.new_folder()
    refused = lab.bob.run(f"download_file {group} late.bin {quote(target)} --timeout 2")
    assert (refused["ok"], refused["error"]["code"]) == (False, "timeout")
    assert "nobody online has late.bin" in refused["error"]["message"]
    login(ike, "ike")
    done = wait_complete(lab.bob, "late.bin")
    assert (done["fetched_bytes"], done["waiting_for"], done["why_waiting"]) == (1000, [], None)
    assert done["waiting_s"] > 1
    assert done["rate_bytes_per_s"] == pytest.approx(1000 / done["seconds"])
    ike.close()


@pytest.mark.parametrize("leave", ["exit", "quit"])
def test_exit_leaves_before_the_end_of_input(bare_world: World, leave: str) -> None:
    client = bare_world.start_client("ann")
    assert client.run(leave) == {"command": "exit", "ok": True}
    assert client.process.wait(10) == 0
    client.close()


def test_an_interrupted_command_is_said_and_fails_the_run(lab: Lab) -> None:
    ned, oda = lab.world.join_in("ned"), lab.world.join_in("oda")
    group = lab.world.new_group(ned, (oda, "oda"))
    upload(ned, lab.world.new_file(), group)
    ned.close()
    oda.send(f"download_file {group} data.bin {quote(lab.world.new_folder())}")
    oda.wait_notice("download_waiting")
    oda.process.send_signal(signal.SIGTERM)
    answer = oda.result()
    assert (answer["command"], answer["ok"], answer["error"]["code"]) == ("download_file", False, "interrupted")
    assert oda.close() == 1
    ned, oda = lab.world.start_client("ned"), lab.world.start_client("oda")
    login(ned, "ned")
    assert login(oda, "oda")["downloads_resumed"] == 1
    wait_complete(oda, "data.bin")
    ned.close()
    oda.close()

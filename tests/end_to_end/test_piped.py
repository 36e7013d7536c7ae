"""Commands from a pipe, answers for people: what goes to stdout, to stderr, and into the exit code."""

import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import PASSWORD, World, login, quote, sharers, upload
from tests.testkit.processes import ROOT

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("piped")]

CLI = [sys.executable, str(ROOT / "cli.py")]


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A tracker that knows ann."""
    world = World(tmp_path_factory.mktemp("club"))
    try:
        world.start_tracker()
        assert world.run_script("maker", f"create_user ann {PASSWORD}\n").code == 0
        yield world
    finally:
        world.close()


def test_results_go_to_stdout_and_a_good_run_ends_with_0(club: World) -> None:
    group = "stdout-group"
    run = club.run_script("ann", f"login ann {PASSWORD}\ncreate_group {group}\nlist_groups\n")
    assert run.code == 0
    assert "ann" in run.out.splitlines()[0]
    assert group in run.out
    assert "error" not in run.out + run.err


def test_an_error_goes_to_stderr_and_the_next_command_runs_all_the_same(club: World) -> None:
    run = club.run_script("ann", f"list_groups\nlogin ann {PASSWORD}\nnonsense\nlist_groups now\ncreate_group after\n")
    assert run.code == 1
    errors = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3
    assert "logged in" in errors[0]
    assert "nonsense" in errors[1]
    assert "list_groups" in errors[2]
    assert "error" not in run.out
    assert "after" in run.out.splitlines()[-1]


def test_comments_blank_lines_and_an_unfinished_last_line_are_fine(club: World) -> None:
    run = club.run_script("ann", "# a comment\n\n   \t\nhelp login # and another\n  # more\nhelp logout")
    assert run.code == 0
    assert run.err == ""
    assert [line.split()[0] for line in run.out.splitlines() if line.startswith("log")] == ["login", "logout:"]


@pytest.mark.parametrize("word", ["'two words #1.bin'", '"two words #1.bin"', r"two\ words\ \#1.bin"])
def test_names_are_quoted_as_in_a_shell(club: World, word: str) -> None:
    file = club.new_file("two words #1.bin")
    user = "quoter" + str(len(word)) + str(ord(word[0]))
    script = f"create_user {user} pw\nlogin {user} pw\ncreate_group {user}\nupload_file {file.parent}/{word} {user}\n"
    run = club.run_script(user, script + f"list_files {user}\nupload_file 'open {user}\n")
    assert run.code == 1
    assert "two words #1.bin" in run.out.splitlines()[-1]
    assert run.err.count("error: ") == 1


def test_a_download_returns_when_the_file_is_there(club: World) -> None:
    owner = club.join_in("bea")
    group = club.new_group(owner)
    file, target = club.new_file(size_bytes=3_000_000), club.new_folder()
    upload(owner, file, group)
    run = club.run_script("cal", f"create_user cal pw\nlogin cal pw\njoin_group {group}\n")
    assert run.code == 0
    owner.expect(f"accept_request {group} cal")
    run = club.run_script(
        "cal", f"login cal pw\ndownload_file {group} data.bin {quote(target)}\nupload_file {target}/data.bin {group}\n"
    )
    assert run.code == 0, run
    assert "verified" in run.out
    assert "bea" in run.out
    assert "data.bin" in run.out.splitlines()[-1]
    assert filecmp.cmp(file, target / "data.bin", shallow=False)
    assert sharers(owner, group, "data.bin") == 1  # the end of the input logged out
    owner.close()


def test_a_password_is_never_waited_for_without_a_terminal(club: World) -> None:
    run = club.run_script("ann", "login ann\ncreate_user new\nhelp login\n")
    assert run.code == 1
    assert run.err.count("error: no password") == 2
    assert "login" in run.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_goes_on_until_a_signal_and_ends_with_0(club: World, number: signal.Signals) -> None:
    user = f"server{number.value}"
    owner, reader = club.join_in(user), club.start_client("ann")
    login(reader, "ann")
    group = club.new_group(owner, (reader, "ann"))
    upload(owner, club.new_file(), group)
    owner.close()
    assert sharers(reader, group, "data.bin") == 0
    process = club.popen(club.command(user))
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(f"login {user} {PASSWORD}\nserve\nhelp\n")
    process.stdin.close()
    process.stdin = None
    assert any("sharing" in line for line in process.stderr), "serve did not say that it shares"
    assert sharers(reader, group, "data.bin") == 1
    assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    assert "create_user" not in out  # nothing after serve was run
    assert sharers(reader, group, "data.bin") == 0
    reader.close()


def test_serve_fails_the_run_if_nobody_is_logged_in(club: World) -> None:
    run = club.run_script("ann", "serve\n")
    assert run.code == 1
    assert "error: " in run.err


def test_a_reader_that_goes_away_is_no_bug(club: World) -> None:
    process = club.popen(club.command("ann"))
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate("help\nhelp\nhelp\n", timeout=15)
    assert process.returncode == 141
    assert "Traceback" not in err
    assert "Exception" not in err


# ---------------------------------------------------------------- how the program is called


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["127.0.0.1:7001"], ["127.0.0.1", "t.txt"], ["localhost:7001", "t.txt"], ["127.0.0.1:0", "t.txt"],
        ["127.0.0.1:70000", "t.txt"], ["127.0.0.1:7001", "t.txt", "more"], ["127.0.0.1:7001", "t.txt", "--loud"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(bare_world: World, arguments: list[str]) -> None:
    run = bare_world.run_program([*CLI, *arguments])
    assert run.code == 2
    assert run.out == ""
    assert "usage" in run.err


def test_without_a_state_folder_each_address_has_its_own(world: World) -> None:
    command = [*CLI, f"127.0.0.1:{world.port_of('x')}", str(world.tracker_info)]
    assert world.run_program(command, "create_user ann pw\n").code == 0
    (folder,) = (world.folder / "xdg" / "shoal" / "clients").iterdir()
    assert str(world.port_of("x")) in folder.name
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("127.0.0.1 7000\nnonsense\n", "line 2"),
        ("# only a comment\n\n127.0.0.1 70000\n", "line 3"),
        ("127.0.0.1 7000 sha256:zz\n", "line 1"),
        ("127.0.0.1 7000\n127.0.0.1 7000\n", "line 2"),
        ("", "no tracker"),
    ],
)
def test_a_malformed_tracker_list_is_said_with_its_line(bare_world: World, text: str, line: str) -> None:
    bare_world.tracker_info.write_text(text)
    run = bare_world.run_script("ann", "help\n")
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("error: ")
    assert line in run.err
    assert run.err.count("\n") == 1


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_list_and_commands_from_another_system_are_read(world: World, mark: bytes, end: bytes) -> None:
    place = world.tracker_info.read_text().split()
    lines = [b"# from an editor\t", f"\t{place[0]}:{place[1]} # here ".encode(), b""]
    world.tracker_info.write_bytes(mark + end.join(lines))
    commands = [b"create_user ann pw", b"login ann pw  ", b"", b"\tcreate_group lab"]
    run = subprocess.run(
        world.command("ann"), input=mark + end.join(commands), env=world.environment, capture_output=True,
        check=False, timeout=30,
    )  # fmt: skip
    assert run.returncode == 0, run
    assert b"error" not in run.stderr
    assert run.stdout.splitlines()[-1] == b"made the group lab; you own it"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_list_in_another_encoding_is_said_to_be_that(bare_world: World, encoding: str) -> None:
    bare_world.tracker_info.write_bytes("# the trackers of K\u00f6ln\n".encode(encoding))
    run = bare_world.run_script("ann", "help\n")
    assert (run.code, run.out) == (1, "")
    assert run.err == f"error: {bare_world.tracker_info}: line 1: it is not UTF-8 text; save the file as UTF-8\n"


def test_a_password_that_begins_with_a_hash_is_used_or_refused(world: World) -> None:
    run = world.run_script("ann", "create_user ann '#1'\nlogin ann #1\nlogin ann '#1' #mine\n", "--json")
    assert run.code == 1
    answers = [json.loads(line) for line in run.out.splitlines()]
    assert [each.get("ok") for each in answers if "command" in each] == [True, False, True]
    assert [each["notice"] for each in answers if "notice" in each][1:] == ["comment"]
    assert "mine" not in run.out


def test_an_empty_path_is_wrong_usage(bare_world: World) -> None:
    """An unset variable is not the current folder."""
    for command in ([*bare_world.command("ann"), "--state", ""], [*CLI, "127.0.0.1:7001", ""]):
        run = bare_world.run_program(command)
        assert (run.code, run.out) == (2, "")
        assert "it is empty" in run.err


def test_a_state_folder_that_is_a_file_is_said(bare_world: World) -> None:
    for state in (bare_world.tracker_info, bare_world.tracker_info / "below"):
        run = bare_world.run_program([*bare_world.command("ann"), "--state", str(state)], "help\n")
        assert (run.code, run.out) == (1, "")
        assert "a file is in its place" in run.err


def test_a_current_folder_that_is_gone_is_said(bare_world: World) -> None:
    folder = bare_world.new_folder()
    command = ["sh", "-c", f'cd {folder} && rmdir {folder} && exec "$@"', "sh", *bare_world.command("ann")]
    run = bare_world.run_program(command, "help\n")
    assert (run.code, run.out) == (1, "")
    assert run.err == "error: the current folder was removed; change to another and start again\n"


def test_a_missing_tracker_list_is_said(bare_world: World) -> None:
    bare_world.tracker_info.unlink()
    run = bare_world.run_script("ann", "help\n")
    assert run.code == 1
    assert run.err.startswith("error: ")
    assert str(bare_world.tracker_info) in run.err


def test_a_taken_port_is_said(bare_world: World) -> None:
    first = bare_world.start_client("ann")
    first.expect("help")
    command = bare_world.command("ann", "--state", str(bare_world.folder / "other"))
    run = bare_world.run_program(command, "help\n")
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("error: ")
    assert str(bare_world.port_of("ann")) in run.err
    first.close()


def test_two_clients_never_share_a_state_folder(bare_world: World) -> None:
    first = bare_world.start_client("ann")
    first.expect("help")
    command = bare_world.command("bob", "--state", str(bare_world.state_of("ann")))
    run = bare_world.run_program(command, "help\n")
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("error: ")
    assert str(bare_world.state_of("ann")) in run.err
    first.close()
    assert bare_world.run_program(command, "help\n").code == 0


def test_no_tracker_that_answers_is_said_once_a_command_needs_one(bare_world: World) -> None:
    run = bare_world.run_script("ann", f"help\nlogin ann {PASSWORD}\n")
    assert run.code == 1
    assert "create_user" in run.out
    assert run.err.startswith("error: no tracker answers")


def test_json_says_its_errors_on_stdout_too(bare_world: World) -> None:
    bare_world.tracker_info.write_text("nonsense\n")
    run = bare_world.run_script("ann", "help\n", "--json")
    assert run.code == 1
    assert '"bad_trackers"' in run.out
    assert run.err == ""


def test_it_runs_from_any_folder(world: World, tmp_path: Path) -> None:
    """Paths are the caller's, not the program's."""
    file = world.new_file("here.bin")
    shutil.copy(world.tracker_info, file.parent / "list.txt")
    address = f"127.0.0.1:{world.port_of('ann')}"
    run = subprocess.run(
        [*CLI, address, "list.txt", "--state", "state"], cwd=file.parent, env=world.environment, text=True,
        input="create_user ann pw\nlogin ann pw\ncreate_group lab\nupload_file here.bin lab\n", capture_output=True,
        check=False, timeout=30, start_new_session=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "here.bin" in run.stdout
    assert "lock" in os.listdir(file.parent / "state")

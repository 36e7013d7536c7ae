"""Both programs with standard streams that are closed, full, not text, or end early."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.world import PASSWORD, Finished, World, login, sharers, wait_until
from tests.testkit.processes import LOOPBACK, free_ports

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("streams")]

SCRIPT = "help login\nnonsense\nhelp logout\n"
CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]
FULL = [">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", "<&- >/dev/full", ">/dev/full 2>&-", ">&- 2>/dev/full"]
NO_SPACE = "error: standard output cannot be written: No space left on device"


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A tracker that knows ann."""
    world = World(tmp_path_factory.mktemp("streams"))
    try:
        world.start_tracker()
        assert world.run_script("maker", f"create_user ann {PASSWORD}\n").code == 0
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module", params=[[], ["--json"]], ids=["people", "json"])
def whole(club: World, request: pytest.FixtureRequest) -> tuple[list[str], Finished]:
    """Flags, and what a client with them says where every stream is as usual."""
    return request.param, club.run_script("ann", SCRIPT, *request.param)


def redirected(command: list[str], redirections: str) -> list[str]:
    return ["sh", "-c", f'exec "$@" {redirections}', "sh", *command]


# ---------------------------------------------------------------- the client


@pytest.mark.parametrize("redirections", [*CLOSED, *FULL])
def test_a_client_reads_and_says_what_its_streams_allow(
    club: World, redirections: str, whole: tuple[list[str], Finished]
) -> None:
    flags, usual = whole
    run = club.run_program(redirected(club.command("ann", *flags), redirections), SCRIPT)
    is_out_full = " >/dev/full" in f" {redirections}"
    if "<&-" in redirections:  # the end of the input at once, so nothing was said nor failed
        assert (run.code, run.out, run.err) == (0, "", "")
        return
    assert run.code == 1, "a command was refused"
    if is_out_full:
        assert run.out == ""
        assert run.err == ("" if "2>" in redirections else f"{NO_SPACE}\n"), "and nothing of the next commands"
        return
    assert run.out == ("" if " >&-" in f" {redirections}" else usual.out)
    assert run.err == ("" if "2>" in redirections else usual.err)


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["people", "json"])
def test_a_reader_that_has_seen_enough_ends_the_client_without_a_word(club: World, flags: list[str]) -> None:
    command = redirected(club.command("ann", *flags), "")
    process = club.popen(command)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("help login\n")
    process.stdin.flush()
    assert "login" in process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate("help\n" * 100, timeout=20)
    assert (process.returncode, err) == (141, "")


def test_a_note_that_cannot_be_said_does_not_stop_the_commands(club: World) -> None:
    command = [*club.command("newcomer"), "--state", str(club.new_folder())]  # says the tracker's fingerprint
    script = f"login ann {PASSWORD}\nlist_groups\n"
    run = club.run_program(redirected(command, "2>/dev/full"), script)
    assert run.code == 1
    assert run.out.startswith("logged in as ann\n")
    assert len(run.out.splitlines()) > 1


def test_input_that_cannot_be_read_is_said(club: World) -> None:
    run = club.run_program(redirected(club.command("ann"), "0>/dev/null"))
    assert (run.code, run.out) == (1, "")
    assert run.err == "error: the commands cannot be read from standard input: Bad file descriptor\n"


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", ">&- 2>&-"])
def test_help_and_wrong_usage_need_no_stream(club: World, streams: str) -> None:
    assert club.run_program(redirected([*club.command("ann"), "--help"], streams)).code == 0
    assert club.run_program(redirected([*club.command("ann"), "--nonsense"], streams)).code == 2


def test_help_onto_a_full_device_is_one_error(club: World) -> None:
    for command in ([*club.command("ann"), "--help"], [sys.executable, "-m", "tracker", "--help"]):
        run = club.run_program(redirected(command, ">/dev/full"))
        assert (run.code, run.out, run.err) == (1, "", f"{NO_SPACE}\n")


def test_a_client_that_serves_needs_no_stream(club: World) -> None:
    owner = club.join_in("server")
    group, file = club.new_group(owner), club.new_file()
    reader = club.start_client("ann")
    login(reader, "ann")
    reader.expect(f"join_group {group}")
    owner.expect(f"accept_request {group} ann")
    owner.close()
    script = club.folder / "script"
    script.write_text(f"login server {PASSWORD}\nupload_file {file} {group}\nserve\n")
    process = club.popen(redirected(club.command("server"), f"<{script} >&- 2>&-"))
    wait_until(lambda: reader.expect(f"list_files {group}")["files"], bool, "published")
    wait_until(lambda: sharers(reader, group, "data.bin"), lambda count: bool(count == 1), "shared")
    for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
        assert descriptors_of(each.pid) <= {"/dev/null", str(script)}
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=15)
    assert process.returncode == 0
    reader.close()


def descriptors_of(pid: int) -> set[str]:
    """Where 0, 1 and 2 lead. A worker's first may be a pipe by which it learns of its client's end."""
    return {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)}


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"}, {"LANG": "C", "LC_ALL": ""}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "utf-16"},
    ],
    ids=str,
)  # fmt: skip
def test_names_are_the_same_in_every_locale(club: World, environment: dict[str, str]) -> None:
    club.environment |= {"PYTHONUTF8": "", **environment}
    file, group = club.new_file("caf\u00e9.bin"), club.new_name("locale")
    try:
        script = f"login ann {PASSWORD}\ncreate_group {group}\nupload_file {file} {group}\nlist_files {group}\n"
        run = club.run_script("ann", script, "--json")
    finally:
        for name in environment:
            del club.environment[name]
    assert run.code == 0, run
    assert run.err == ""
    files = json.loads(run.out.splitlines()[-1])["files"]
    assert [each["name"] for each in files] == ["caf\u00e9.bin"]


def test_bytes_that_are_not_utf8_are_refused_in_words(club: World) -> None:
    commands = [
        f"login ann {PASSWORD}", "login ann \udcff", "create_user \udcff pw", "create_user new \udcff", "\udcff",
        "create_group \udcff", "upload_file /tmp/\udcff g", "download_file g \udcff /tmp", "download_file g f \udcff",
        "list_files \udcff", "cancel_download g \udcff", "stop_share g \udcff", f"change_password {PASSWORD} \udcff",
    ]  # fmt: skip
    script = b"".join(os.fsencode(command) + b"\n" for command in commands)
    done = subprocess.run(
        club.command("ann"), input=script, env=club.environment, capture_output=True, check=False, timeout=30
    )
    assert done.returncode == 1
    errors = done.stderr.decode().splitlines()
    assert len(errors) == len(commands) - 1, errors
    assert not [each for each in errors if "internal" in each or "codec" in each or not each.startswith("error: ")]


# ---------------------------------------------------------------- the tracker


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[list[str]]:
    """A command that starts one; it is ended with the test."""
    info = tmp_path / "tracker_info.txt"
    info.write_text(f"{LOOPBACK} {free_ports(1)[0]}\n")
    command = [sys.executable, "-m", "tests.end_to_end.quick_tracker", str(info), "1", "--state", str(tmp_path / "s")]
    yield command
    for process in psutil.Process().children(recursive=True):
        if command[-1] in process.cmdline():
            process.kill()


@pytest.mark.parametrize("redirections", [*CLOSED, "2>/dev/full"])
def test_a_tracker_needs_no_stream(tracker: list[str], redirections: str) -> None:
    process = subprocess.Popen(
        redirected(tracker, redirections),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    port = int(re.findall(r"\d+", Path(tracker[3]).read_text())[-1])
    deadline_s = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((LOOPBACK, port)).close()
            break
        except ConnectionRefusedError:
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    assert not [each for each in descriptors_of(process.pid) if "socket" in each or "tracker.db" in each]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("tracker 1 listening") == (" >&-" not in f" {redirections}")


def test_a_tracker_whose_line_cannot_be_written_does_not_run(tracker: list[str]) -> None:
    done = subprocess.run(redirected(tracker, ">/dev/full"), capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (1, f"{NO_SPACE}\n")

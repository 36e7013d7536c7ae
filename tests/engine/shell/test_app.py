import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, str(Path(__file__).with_name("shell_with_fake.py"))]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def spawn(folder: Path, *flags: str, port: int = 7001) -> subprocess.Popen[str]:
    """Without a controlling terminal, as under a job scheduler."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*COMMAND, str(port), str(folder), *flags],
        env=ENVIRONMENT,
        text=True,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )


def test_end_of_input_leaves_with_0_or_1_if_a_command_failed(tmp_path: Path) -> None:
    with spawn(tmp_path) as good, spawn(tmp_path) as bad:
        assert good.communicate("login alice s3cret\ndownload_file lab good.bin .")[1] == ""
        out, err = bad.communicate("login alice\nlogin alice s3cret\n")
    assert (good.returncode, bad.returncode) == (0, 1)
    assert err.startswith("error: no password was given and there is no terminal to ask on")
    assert out.startswith("logged in as alice\n")


def test_a_client_that_does_not_start_is_an_error_like_any_other(tmp_path: Path) -> None:
    with spawn(tmp_path, port=1) as people, spawn(tmp_path, "--json", port=1) as programs:
        assert people.communicate()[1] == "error: port 1 is taken by another program; choose another\n"
        record = json.loads(programs.communicate()[0])
    assert (people.returncode, programs.returncode) == (1, 1)
    assert (record["command"], record["error"]["code"]) == (None, "port_taken")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_well_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with spawn(tmp_path, "--json") as shell:
        assert shell.stdin
        assert shell.stdout
        shell.stdin.write("login alice s3cret\nserve\n")
        shell.stdin.flush()
        while json.loads(shell.stdout.readline()).get("notice") != "serving":
            pass
        shell.send_signal(number)
        rest = shell.stdout.read()
        assert shell.stderr
        assert shell.stderr.read() == ""
    assert json.loads(rest) == {"command": "serve", "ok": True}
    assert shell.returncode == 0


def test_a_download_ended_by_a_signal_has_failed(tmp_path: Path) -> None:
    with spawn(tmp_path, "--json") as shell:
        assert shell.stdin
        assert shell.stdout
        shell.stdin.write("login alice s3cret\ndownload_file lab endless.bin .\n")
        shell.stdin.flush()
        while "progress" not in json.loads(shell.stdout.readline()):
            pass
        shell.send_signal(signal.SIGTERM)
        rest = shell.stdout.read()
        assert shell.stderr
        assert shell.stderr.read() == ""
    assert json.loads(rest)["error"] == {"code": "interrupted", "message": "download_file was interrupted"}
    assert shell.returncode == 1


def test_a_reader_that_goes_away_is_no_reason_for_a_traceback(tmp_path: Path) -> None:
    with spawn(tmp_path) as shell:
        assert shell.stdin
        assert shell.stdout
        assert shell.stderr
        shell.stdout.close()
        shell.stdin.write("help\nhelp\n")
        shell.stdin.close()
        assert shell.stderr.read() == ""
    assert shell.returncode == 141, "as if SIGPIPE had ended it"

"""Standard streams as they may be given, each in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, sys
from tracker.standard_streams import run_with_streams

def program(streams):
    streams.on_unwritable(lambda: print("unwritable", file=streams.err))
    opened = os.open("/", os.O_RDONLY)
    {body}
    return {code}

sys.exit(run_with_streams(program))
"""


def run(
    body: str, redirections: str = "", code: int = 0, environment: Mapping[str, str] = {}
) -> "subprocess.CompletedProcess[bytes]":
    text = PROGRAM.format(body=body, code=code)
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, text],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, check=False, timeout=30,
    )  # fmt: skip


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_what_is_opened_never_gets_the_number_of_a_closed_stream(closed: str) -> None:
    done = run(
        "print('said', file=streams.err); print('done'); assert opened > 2; assert sys.stdin.read() == ''",
        f"</dev/null {closed}",
    )
    assert done.returncode == 0
    assert done.stdout == (b"" if " >&-" in f" {closed}" else b"done\n")
    assert done.stderr == (b"" if "2>&-" in closed else b"said\n")


@pytest.mark.parametrize("code", [0, 1, 2])
def test_output_that_cannot_be_written_is_said_once(code: int) -> None:
    done = run("print('one'); print('two'); print('three', end='')", ">/dev/full", code)
    assert done.returncode == (code or 1)
    assert done.stderr == b"unwritable\nerror: standard output cannot be written: No space left on device\n"


def test_what_waits_until_the_end_is_noticed_too() -> None:
    done = run("print('one', end='')", ">/dev/full")
    assert done.returncode == 1
    assert b"error: standard output cannot be written" in done.stderr


def test_what_cannot_be_said_aside_fails_the_program_without_ending_it() -> None:
    done = run("print('lost', file=streams.err); print('done')", "2>/dev/full")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"done\n", b"")


@pytest.mark.parametrize("leaving", ["pass", "sys.exit(2)"])
def test_a_reader_that_went_away_is_a_code_and_no_sentence(leaving: str) -> None:
    # A pipe without a reader, in the place of stdout.
    body = f"r, w = os.pipe(); os.dup2(w, 1); os.close(r); print('one'); print('two'); {leaving}"
    done = run(body)
    assert (done.returncode, done.stderr) == (141, b"unwritable\n")


def test_the_code_of_sys_exit_is_kept() -> None:
    assert run("sys.exit(2)").returncode == 2


def test_a_stream_that_others_made_non_blocking_takes_everything() -> None:
    body = "os.set_blocking(1, False); print('x' * 1_000_000); print('end')"
    done = run(body, "| (sleep 0.3; cat)")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x" * 1_000_000 + b"\nend\n", b"")


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_names_are_utf8_in_every_locale(environment: dict[str, str]) -> None:
    done = run("print(os.fsdecode(b'caf\\xc3\\xa9') == 'caf\\u00e9')", environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True\n", b"")


def test_what_an_encoding_cannot_show_is_shown_escaped() -> None:
    done = run("print('caf\\u00e9 \\udcff')", environment={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"caf\\xe9 \\udcff\n", b"")

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).parents[4]
CTRL_C, CTRL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"


def spawn(folder: Path, port: int = 7001) -> "pexpect.spawn[str]":
    return pexpect.spawn(
        sys.executable,
        [str(Path(__file__).parent.with_name("shell_with_fake.py")), str(port), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        encoding="utf-8",
        timeout=20,
        dimensions=(40, 120),
    )


@pytest.fixture
def shell(tmp_path: Path) -> "Iterator[pexpect.spawn[str]]":
    shell = spawn(tmp_path)
    shell.expect("shoal>")
    yield shell
    shell.close(force=True)


def test_a_session_at_the_prompt(shell: "pexpect.spawn[str]", tmp_path: Path) -> None:
    shell.sendline("login alice wrong-s3cret")
    shell.expect("error: wrong user id or password")
    shell.sendline("login alice")
    shell.expect("password of alice:")
    shell.sendline("s3cret")
    shell.expect("logged in as alice")
    assert "s3cret" not in str(shell.before)
    shell.expect("alice>")
    shell.sendline("create_group lab")
    shell.expect("made the group lab")
    shell.send("download_file la" + TAB)
    shell.expect("b")
    shell.send("endl" + TAB)
    shell.expect("ess.bin")
    shell.sendline(".")
    shell.expect("downloading endless.bin; it goes on in the background")
    shell.send("half a line" + CTRL_C)
    shell.sendline("download_file lab good.bin .")
    shell.expect("downloaded good.bin: .*verified")
    shell.sendline("cancel_download lab endless.bin")
    shell.expect("gave up the download of endless.bin")
    shell.send(UP)
    shell.expect("cancel_download lab endless.bin")
    shell.send(CTRL_C + CTRL_D)
    shell.expect(pexpect.EOF)
    shell.wait()
    assert shell.exitstatus == 0
    history = (tmp_path / "history").read_text()
    assert "s3cret" not in history
    assert "+login alice\n" in history
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600


def test_ctrl_c_ends_a_command_that_takes_long_and_serve_ends_the_session(shell: "pexpect.spawn[str]") -> None:
    shell.sendline("login nobody-answers pw")
    shell.expect("asking a tracker")
    shell.sendintr()
    shell.expect("error: login was interrupted")
    shell.sendline("login alice s3cret")
    shell.expect("logged in as alice")
    shell.sendline("serve")
    shell.expect("sharing until interrupted")
    shell.sendintr()
    shell.expect(pexpect.EOF)
    shell.wait()
    assert shell.exitstatus == 0


def test_a_client_that_does_not_start_ends_the_prompt(tmp_path: Path) -> None:
    shell = spawn(tmp_path, port=1)
    shell.expect("error: port 1 is taken by another program; choose another")
    shell.expect(pexpect.EOF)
    assert "Traceback" not in str(shell.before)
    shell.wait()
    assert shell.exitstatus == 1

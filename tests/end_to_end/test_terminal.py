"""A person at a terminal: prompt, passwords, background work, keys. Seen through a pseudo terminal."""

import filecmp
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.end_to_end.world import PASSWORD, World, login, upload
from tests.testkit.processes import ROOT

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("terminal")]

_LINE_IS_READ = "\x1b[?2004l"
"""Bracketed paste is switched off when a line was entered."""
ENTER, CTRL_C, CTRL_D, TAB = "\r", "\x03", "\x04", "\t"
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")


class Terminal:
    """The program on a terminal of 100 columns; `seen` is all it ever showed."""

    def __init__(self, world: World, name: str) -> None:
        self.log = world.new_log(f"terminal-{name}").open("w", encoding="utf-8")
        program, *arguments = world.command(name)
        self.child: pexpect.spawn[str] = pexpect.spawn(
            program, arguments, cwd=str(ROOT), env=world.environment, encoding="utf-8", timeout=20, dimensions=(40, 100)
        )
        self.child.logfile_read = self.log

    @property
    def seen(self) -> str:
        self.log.flush()
        return _ESCAPES.sub("", Path(self.log.name).read_text(encoding="utf-8"))

    def type(self, text: str) -> None:
        self.child.send(text)

    def see(self, text: str) -> None:
        self.child.expect_exact(text)

    def run(self, command: str, answer: str, prompt: str = ">") -> None:
        """Type a line, see its answer, then the prompt again. The command is echoed, so `answer` must not be in it."""
        assert answer not in command
        self.type(command + ENTER)
        self.see(_LINE_IS_READ)
        self.see(answer)
        self.see(prompt)

    def enter(self, user_id: str) -> None:
        self.see("shoal>")
        self.run(f"create_user {user_id} {PASSWORD}", "made the account")
        self.run(f"login {user_id} {PASSWORD}", "logged in as", f"{user_id}>")

    def leave(self) -> Any:
        """Its exit code."""
        self.type("exit" + ENTER)
        return self.ended()

    def ended(self) -> Any:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus

    def close(self) -> None:
        self.child.close(force=True)
        self.log.close()


@pytest.fixture
def terminal(world: World) -> Iterator[Terminal]:
    terminal = Terminal(world, "ann")
    yield terminal
    terminal.close()


def test_a_session_is_answered_line_by_line(terminal: Terminal) -> None:
    terminal.enter("ann")
    terminal.run("create_group lab", "you own it", "ann>")
    terminal.run("create_group lab", "error: ", "ann>")
    terminal.run("list_groups", "OWNER", "ann>")
    terminal.run("nonsense", "error: ", "ann>")
    terminal.run("logout", "logged out", "shoal>")
    assert terminal.leave() == 0


def test_every_command_of_the_table_is_known_at_the_prompt(world: World, terminal: Terminal) -> None:
    file, target = world.new_file("data.bin", 5000), world.new_folder()
    copy = target / "copy.bin"
    terminal.enter("ann")
    for command, answer in [
        ("create_group lab", "you own it"),
        ("join_group lab", "error: "),
        ("requests list_requests lab", "nobody"),
        ("accept_request lab bob", "error: "),
        ("reject_request lab bob", "error: "),
        ("list_groups", "OWNER"),
        (f"upload_file {file} lab", "sharing data.bin"),
        ("list_files lab", "4.9 KiB"),
        (f"download_file lab data.bin {file}", "already is"),
        (f"download_file lab data.bin {target}/none/x", "error: "),
        ("show_downloads", "no downloads"),
        ("cancel_download lab data.bin", "error: "),
        ("stop_share lab data.bin", "stopped sharing"),
        ("leave_group lab", "removed"),
        ("help login", "login <user_id>"),
    ]:
        terminal.run(command, answer, "ann>")
    assert not copy.exists()
    assert terminal.leave() == 0


def test_a_left_out_password_is_asked_for_and_never_shown(terminal: Terminal, world: World) -> None:
    secret = "s3cret-w0rd"
    terminal.see("shoal>")
    terminal.type("create_user ann" + ENTER)
    terminal.see("password for ann")
    terminal.type(secret + ENTER)
    terminal.see("again")
    terminal.type(secret + ENTER)
    terminal.see("made the account")
    terminal.see("shoal>")
    terminal.type("login ann" + ENTER)
    terminal.see("password of ann")
    terminal.type(secret + ENTER)
    terminal.see("logged in as ann")
    assert terminal.leave() == 0
    assert secret not in terminal.seen
    run = world.run_script("other", f"login ann {secret}\n")  # it was the password all the same
    assert run.code == 0


def test_two_different_passwords_make_no_account(terminal: Terminal) -> None:
    terminal.see("shoal>")
    terminal.type("create_user ann" + ENTER)
    terminal.see("password for ann")
    terminal.type("one" + ENTER)
    terminal.see("again")
    terminal.type("two" + ENTER)
    terminal.see("error: ")
    terminal.see("shoal>")
    terminal.run("login ann one", "error: ")
    assert terminal.leave() == 0


def test_the_history_has_commands_but_no_password(terminal: Terminal, world: World) -> None:
    terminal.enter("ann")
    terminal.run("create_group lab", "you own it")
    terminal.run(f"lgoin ann {PASSWORD}", "error: ")
    terminal.run(f"create_user bob {PASSWORD}", "made the account")
    assert terminal.leave() == 0
    history = world.state_of("ann") / "history"
    text = history.read_text()
    assert "create_group lab" in text
    assert "login ann" in text
    assert history.stat().st_mode & 0o077 == 0
    for file in world.state_of("ann").iterdir():
        assert PASSWORD.encode() not in file.read_bytes(), file


def test_a_download_ends_above_the_prompt_while_a_line_is_typed(terminal: Terminal, world: World) -> None:
    owner = world.join_in("bob")
    file, target = world.new_file(size_bytes=1_000_000), world.new_folder()
    group = world.new_group(owner)
    upload(owner, file, group)
    terminal.enter("ann")
    terminal.run(f"join_group {group}", "asked to")
    owner.expect(f"accept_request {group} ann")
    terminal.see("you are a member")
    owner.expect("logout")
    terminal.type(f"download_file {group} data.bin {target}" + ENTER)
    terminal.see("goes on in")
    terminal.see("ann>")
    terminal.type("help log")
    terminal.see("log")
    login(owner, "bob")
    terminal.see("downloaded data.bin")
    terminal.see("help log")  # the line that was being typed is drawn again below
    terminal.type("out" + ENTER)
    terminal.see("logout: ")
    terminal.run("show_downloads", "[C]", "ann>")
    assert filecmp.cmp(file, target / "data.bin", shallow=False)
    assert terminal.leave() == 0


def test_cancelling_a_background_download_is_said_once(terminal: Terminal, world: World) -> None:
    owner = world.join_in("bob")
    group = world.new_group(owner)
    upload(owner, world.new_file(), group)
    target = world.new_folder()
    terminal.enter("ann")
    terminal.run(f"join_group {group}", "asked to")
    owner.expect(f"accept_request {group} ann")
    terminal.see("you are a member")
    owner.close()
    terminal.run(f"download_file {group} data.bin {target}", "goes on in")
    terminal.run("show_downloads", "[W]", "ann>")
    terminal.run(f"cancel_download {group} data.bin", "gave up", "ann>")
    assert terminal.leave() == 0
    assert "error" not in terminal.seen
    assert list(target.iterdir()) == []


def test_ctrl_c_gives_up_the_line_and_ctrl_d_leaves(terminal: Terminal) -> None:
    terminal.see("shoal>")
    terminal.type("create_user never-made pw")
    terminal.see("pw")
    terminal.type(CTRL_C)
    terminal.see("shoal>")
    terminal.run("login never-made pw", "error: ", "shoal>")
    terminal.type(CTRL_D)
    assert terminal.ended() == 0


def test_ctrl_c_in_a_password_gives_up_that_command_only(terminal: Terminal) -> None:
    terminal.see("shoal>")
    terminal.type("login ann" + ENTER)
    terminal.see("password of ann")
    terminal.type(CTRL_C)
    terminal.see("error: ")
    terminal.see("shoal>")
    assert terminal.leave() == 0


def test_tab_completes_commands_and_groups(terminal: Terminal) -> None:
    terminal.enter("ann")
    terminal.run("create_group laboratory", "you own it", "ann>")
    terminal.type("list_fi" + TAB)
    terminal.see("les")
    terminal.type(" labo" + TAB)
    terminal.see("ratory")
    terminal.type(ENTER)
    terminal.see("no files in laboratory")
    assert terminal.leave() == 0


def test_a_client_that_cannot_start_says_so_and_ends_with_1(bare_world: World) -> None:
    bare_world.tracker_info.write_text("127.0.0.1 7000\nnonsense\n")
    terminal = Terminal(bare_world, "ann")
    try:
        terminal.see("error: ")
        terminal.see("line 2")
        assert terminal.ended() == 1
    finally:
        terminal.close()

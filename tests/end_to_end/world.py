"""A tracker and clients as real processes, and what may never happen to any of them.

A World is thrown away as a whole: `close` ends every process, whatever the test did, and then fails the test if one of
them printed or logged a traceback, or left a process behind.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.testkit.builders import write_content
from tests.testkit.processes import LOOPBACK, ROOT, ShellProcess, TrackerProcess, free_ports, write_tracker_info

Answer = dict[str, Any]
MIB = 1 << 20
PASSWORD = "pa55-word"
_DEADLINE_S = 30.0
_LEAVING_S = 10.0


class Finished(NamedTuple):
    """A run of the program in piped mode."""

    code: int
    out: str
    err: str


class World:
    """Everything of one test, in one folder."""

    def __init__(self, folder: Path, trackers: int = 1) -> None:
        self.folder = folder
        self.tracker_info = write_tracker_info(folder, trackers)
        self._logs = folder / "logs"
        self._logs.mkdir()
        # Not below `folder`: the pool's unix socket lies in it, and such a path has 107 bytes at most.
        self._temporary = Path(tempfile.mkdtemp(prefix="shoal-"))
        # TMPDIR is also what tells this world's processes from all others. Hundreds of processes are started, so the
        # program is compiled once, also where it is not usual to keep that.
        self.environment = {
            **os.environ, "TMPDIR": str(self._temporary), "XDG_STATE_HOME": str(folder / "xdg"), "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONWARNINGS": "default", "PYTHONDONTWRITEBYTECODE": "",
        }  # fmt: skip
        self.trackers: dict[int, TrackerProcess] = {}
        self._clients: list[ShellProcess] = []
        self._latest: dict[str, ShellProcess] = {}
        self._ports: dict[str, int] = {}
        self._name_count = 0
        self._log_count = 0

    # ------------------------------------------------------------ processes

    def start_tracker(self, number: int = 1, *options: str) -> TrackerProcess:
        with self.new_log("tracker").open("wb") as errors:
            tracker = TrackerProcess(
                self.tracker_info, number, self.folder / "tracker", errors, self.environment, options,
                module="tests.end_to_end.quick_tracker",
            )  # fmt: skip
        self.trackers[number] = tracker
        return tracker

    def start_client(self, name: str, **environment: str) -> ShellProcess:
        """The client of this name: the same state and port each time."""
        with self.new_log(name).open("wb") as errors:
            client = ShellProcess(
                self.tracker_info, self.port_of(name), self.state_of(name), errors=errors,
                environment=self.environment | environment,
            )  # fmt: skip
        self._clients.append(client)
        self._latest[name] = client
        return client

    def client_anew(self, user_id: str) -> ShellProcess:
        """The client of this account, logged in, with no share and no download left of an earlier test.

        It is much cheaper than a new client; for worlds that last for a module.
        """
        client = self._latest.get(user_id)
        if client is None:
            return self.join_in(user_id)
        if client.process.returncode is not None:
            client = self.start_client(user_id)
        else:
            client.run("logout")
        login(client, user_id)
        for one in client.expect("show_downloads")["downloads"]:
            client.run(f"cancel_download {one['group_id']} {quote(one['name'])}")
        for one in client.expect("show_shares")["shares"]:
            client.expect(f"stop_share {one['group_id']} {quote(one['name'])}")
        client.expect("logout")
        login(client, user_id)
        client.notices.clear()
        return client

    def join_in(self, user_id: str) -> ShellProcess:
        """A client with a new account, logged in."""
        client = self.start_client(user_id)
        client.expect(f"create_user {user_id} {PASSWORD}")
        login(client, user_id)
        return client

    def command(self, name: str, *extra: str) -> list[str]:
        address = f"{LOOPBACK}:{self.port_of(name)}"
        state = str(self.state_of(name))
        return [sys.executable, str(ROOT / "cli.py"), address, str(self.tracker_info), "--state", state, *extra]

    def popen(self, command: list[str]) -> "subprocess.Popen[str]":
        """In piped mode, without any terminal; to be ended by the test, or by `close`."""
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, text=True, start_new_session=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run_script(self, name: str, script: str, *extra: str) -> Finished:
        """The program from its start to its end, with this on stdin."""
        return self.run_program(self.command(name, *extra), script)

    def run_program(self, command: list[str], script: str = "") -> Finished:
        process = self.popen(command)
        out, err = process.communicate(script, timeout=_DEADLINE_S)
        self.new_log("piped").write_text(out + err, encoding="utf-8")
        return Finished(process.returncode, out, err)

    def port_of(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = free_ports(1)[0]
        return self._ports[name]

    def state_of(self, name: str) -> Path:
        return self.folder / "states" / name

    def move(self, name: str) -> None:
        """Its next process serves at another port."""
        self._ports[name] = free_ports(1)[0]

    def new_log(self, name: str) -> Path:
        """Read by `close` for tracebacks."""
        self._log_count += 1
        return self._logs / f"{self._log_count}-{name}.log"

    # ------------------------------------------------------------ groups and files

    def new_name(self, kind: str) -> str:
        self._name_count += 1
        return f"{kind}{self._name_count}"

    def new_group(self, owner: ShellProcess, *members: tuple[ShellProcess, str]) -> str:
        group_id = self.new_name("group")
        owner.expect(f"create_group {group_id}")
        for client, user_id in members:
            client.expect(f"join_group {group_id}")
            owner.expect(f"accept_request {group_id} {user_id}")
        return group_id

    def new_folder(self) -> Path:
        folder = self.folder / self.new_name("folder")
        folder.mkdir()
        return folder

    def new_file(self, name: str = "data.bin", size_bytes: int = 1000) -> Path:
        """In a folder of its own."""
        return write_content(self.new_folder() / name, size_bytes)

    def begin_in_background(
        self, client: ShellProcess, user_id: str, group_id: str, name: str, target: Path
    ) -> ShellProcess:
        """The client anew, logged in, with a download that waits: nobody who has the file may be online.

        Piped input is read one command after the other; only a resumed download leaves room for other commands.
        """
        client.send(f"download_file {group_id} {name} {target}")
        client.wait_notice("download_waiting")
        client.stop()
        client = self.start_client(user_id)
        assert login(client, user_id)["downloads_resumed"] == 1
        return client

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        for client in self._clients:
            if client.process.returncode is None:
                _close(client)
        for tracker in self.trackers.values():
            if tracker.process.poll() is None:
                tracker.stop()
        left = self._wait_for_the_last()
        for process in left:
            process.kill()
        complaints = self._complaints()
        for log in self._logs.iterdir():
            log.unlink()
        shutil.rmtree(self._temporary)
        for each in self.folder.iterdir():
            if each.name != "states":
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        assert not left, f"processes were left behind: {left}"
        assert not complaints, "\n".join(complaints)

    def _wait_for_the_last(self) -> list[psutil.Process]:
        deadline_s = time.monotonic() + _LEAVING_S
        while (left := self._processes()) and time.monotonic() < deadline_s:
            psutil.wait_procs(left, timeout=0.1)
        return left

    def _processes(self) -> list[psutil.Process]:
        mine = []
        for process in psutil.process_iter():
            try:
                is_mine = process.environ().get("TMPDIR") == self.environment["TMPDIR"]
                if is_mine and process.status() != psutil.STATUS_ZOMBIE:
                    mine.append(process)
            except psutil.Error:
                continue
        return mine

    def _complaints(self) -> list[str]:
        """Tracebacks and warnings of the interpreter, wherever they went; incident logs of the shell."""
        texts = [log.read_text(errors="replace") for log in self._logs.iterdir()]
        for folder in (self.folder, self._temporary):
            texts += [path.read_text(errors="replace") for path in folder.rglob("*.log*") if path.is_file()]
        texts += [str(line) for client in self._clients for line in client.notices if "bug" in line["message"]]
        return [text for text in texts if "Traceback" in text or "Warning:" in text or "is a bug" in text]


def _close(client: ShellProcess) -> None:
    """Asked, and if it does not listen, killed."""
    try:
        client.stop()
    except subprocess.TimeoutExpired:
        client.kill()


# ---------------------------------------------------------------- talking to a client


def login(client: ShellProcess, user_id: str) -> Answer:
    return client.expect(f"login {user_id} {PASSWORD}")


def upload(client: ShellProcess, path: Path, group_id: str) -> Answer:
    return client.expect(f"upload_file {quote(path)} {group_id}")


def download(client: ShellProcess, group_id: str, name: str, destination: Path) -> Answer:
    return client.expect(f"download_file {group_id} {quote(name)} {quote(destination)}")


def quote(word: str | Path) -> str:
    return shlex.quote(str(word))


def refusal(client: ShellProcess, command: str) -> str:
    """The code of the error this command has to end with. Its sentence has to be one."""
    answer = client.run(command)
    assert not answer["ok"], f"{command} was not refused: {answer}"
    assert answer["error"]["message"].strip()
    code: str = answer["error"]["code"]
    return code


def status(client: ShellProcess, name: str) -> Answer:
    """The download of this name."""
    found: list[Answer] = [one for one in client.expect("show_downloads")["downloads"] if one["name"] == name]
    assert len(found) == 1, found
    return found[0]


def sharers(client: ShellProcess, group_id: str, name: str) -> int:
    files = client.expect(f"list_files {group_id}")["files"]
    count: int = next(file["sharers_online"] for file in files if file["name"] == name)
    return count


def wait_until(
    ask: Callable[[], Any], is_there: Callable[[Any], bool], what: str, timeout_s: float = _DEADLINE_S
) -> Any:
    """The first answer that is there; every ask is a round trip, so this spins no faster than the client answers."""
    deadline_s = time.monotonic() + timeout_s
    while not is_there(answer := ask()):
        assert time.monotonic() < deadline_s, f"not {what} after {timeout_s} s: {answer}"
        time.sleep(0.005)
    return answer


def wait_complete(client: ShellProcess, name: str, timeout_s: float = _DEADLINE_S) -> Answer:
    def is_over(one: Answer) -> bool:
        return one["state"] in ("complete", "failed", "cancelled", "paused")

    try:
        final: Answer = wait_until(lambda: status(client, name), is_over, "complete", timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}; notices: {client.notices}") from None
    assert final["state"] == "complete", final
    return final


def wait_fetched(client: ShellProcess, name: str, least_bytes: int) -> Answer:
    """The status at the moment when so much was verified, which has to be before the end."""
    try:
        reached: Answer = wait_until(
            lambda: status(client, name), lambda one: bool(one["verified_bytes"] >= least_bytes), "so far"
        )
    except AssertionError as error:
        raise AssertionError(f"{error}; notices: {client.notices}") from None
    # "waiting" may still stand there: the state follows the bytes a tick later.
    assert reached["state"] in ("downloading", "waiting"), reached
    return reached

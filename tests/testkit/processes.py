"""Real trackers and real clients as child processes, driven as a program would drive them: commands in, JSON lines out.

Used by the demonstration, the benchmarks and the end-to-end tests. Everything runs on loopback, with its state in a
folder that the caller throws away.
"""

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

ROOT = Path(__file__).parent.parent.parent
LOOPBACK = "127.0.0.1"
_ANSWER_TIMEOUT_S = 120.0
_PORT_FIRST, _PORTS = 20_000, 12_000
"""Linux dials from 32768 on, if it was not told otherwise."""


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now, below those that the system gives to outgoing connections."""
    ports: set[int] = set()
    while len(ports) < count:
        port = _PORT_FIRST + secrets.randbelow(_PORTS)
        with contextlib.suppress(OSError):
            socket.create_server((LOOPBACK, port)).close()
            ports.add(port)
    return list(ports)


def write_tracker_info(folder: Path, count: int = 1) -> Path:
    """A tracker_info.txt with so many loopback lines."""
    path = folder / "tracker_info.txt"
    path.write_text("".join(f"{LOOPBACK} {port}\n" for port in free_ports(count)))
    return path


class TrackerProcess:
    """A running tracker; `ready_line` is what it printed when it was ready."""

    def __init__(
        self,
        tracker_info: Path,
        number: int,
        state: Path,
        errors: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        module: str = "tracker",
        before: Sequence[str] = (),
    ) -> None:
        """`errors`: where its stderr goes; otherwise where ours does. `before`: words to put before the command."""
        command = [sys.executable, "-m", module, str(tracker_info), str(number), "--state", str(state), *options]
        self.process = subprocess.Popen(
            [*before, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline().strip()
        if not self.ready_line:
            self.process.stdout.close()
            raise RuntimeError(f"the tracker did not start: exit code {self.process.wait()}")

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(with_signal)
        code = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class ShellProcess:
    """A client with `--json`: `run` a command, get its result. What comes unasked is kept in `notices`."""

    def __init__(
        self,
        tracker_info: Path,
        port: int,
        state: Path,
        extra: Sequence[str] = (),
        errors: IO[bytes] | int = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = [
            sys.executable, str(ROOT / "cli.py"), f"{LOOPBACK}:{port}", str(tracker_info), "--state", str(state),
            "--json", *extra,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
        )
        self.notices: list[dict[str, Any]] = []
        self.progress: list[dict[str, Any]] = []
        self._received = b""

    def send(self, command: str) -> None:
        """Without waiting for the result."""
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(os.fsencode(command) + b"\n")
        stdin.flush()

    def run(self, command: str, timeout_s: float = _ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The command's result, whether `ok` or not."""
        self.send(command)
        return self.result(timeout_s)

    def result(self, timeout_s: float = _ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The next result; raises TimeoutError, or EOFError if the client ended."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            line: dict[str, Any] = json.loads(self._line(deadline_s))
            if "notice" in line:
                self.notices.append(line)
            elif "progress" in line:
                self.progress.append(line)
            else:
                return line

    def wait_notice(self, code: str, timeout_s: float = _ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The first notice of this kind, whether it has come already or not."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            for notice in self.notices:
                if notice["notice"] == code:
                    return notice
            line = json.loads(self._line(deadline_s))
            if "notice" in line:
                self.notices.append(line)
            elif "progress" in line:
                self.progress.append(line)
            else:
                raise AssertionError(f"a result came while waiting for the notice {code}: {line}")

    def wait_progress(self, least_bytes: float, timeout_s: float) -> None:
        """Until the running command says that so much is done; raises AssertionError if it ends before."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            line = json.loads(self._line(deadline_s))
            if "notice" in line:
                self.notices.append(line)
            elif "progress" not in line:
                raise AssertionError(f"it is over already: {line}")
            elif line["progress"]["done_bytes"] >= least_bytes and line["progress"]["state"] == "downloading":
                return

    def expect(self, command: str, timeout_s: float = _ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The result of a command that has to succeed."""
        result = self.run(command, timeout_s)
        if not result["ok"]:
            raise AssertionError(f"{command}: {result}")
        return result

    def close(self) -> int:
        """End of input; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._finish()

    def kill(self) -> None:
        """kill -9, without a chance to end in good order."""
        self.stop(signal.SIGKILL)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(with_signal)
        try:
            return self._finish()
        finally:
            assert self.process.stdin is not None
            self.process.stdin.close()

    def _finish(self) -> int:
        code = self.process.wait(_ANSWER_TIMEOUT_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code

    def _line(self, deadline_s: float) -> bytes:
        stdout: IO[bytes] | None = self.process.stdout
        assert stdout is not None
        while b"\n" not in self._received:
            ready, _, _ = select.select([stdout], [], [], max(0.0, deadline_s - time.monotonic()))
            if not ready:
                raise TimeoutError("no answer from the client")
            data = os.read(stdout.fileno(), 1 << 16)
            if not data:
                raise EOFError("the client ended")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        return line


def workers_of(pid: int) -> list[psutil.Process]:
    """The workers of the client with this process id: children of its fork server, which is its child."""
    try:
        return [worker for server in psutil.Process(pid).children() for worker in server.children()]
    except psutil.Error:
        return []

"""Servers of rivals: started, waited for until they listen, and ended with all their children.

Not for: servers that need more than a command line and a port.
"""

import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench.contest import Missing
from tests.testkit.processes import LOOPBACK

_START_S = 20.0


def start_server(command: Sequence[str], port: int) -> "subprocess.Popen[bytes]":
    """Returns when it accepts connections. Raises Missing if it does not."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port), 1.0).close()
            return process
        except OSError:
            time.sleep(0.02)
    process.kill()
    assert process.stderr is not None
    raise Missing(f"{Path(command[0]).name} did not start: {process.stderr.read().decode(errors='replace')[-500:]}")


def end_server(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.communicate()

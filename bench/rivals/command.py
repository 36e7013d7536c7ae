"""Runs a rival's command to its end and measures it: wall time, CPU of it and its children, peak memory.

Not for: rivals that stay started (libtorrent), which measure themselves.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence

from bench.contest import Missing, Transfer
from tests.testkit.measure import cpu_seconds, watching


def find(program: str) -> str:
    """Its path; raises Missing."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Missing(f"{program} is not installed")
    return path


def version_of(program: str, *arguments: str) -> str:
    """The first line it says about itself."""
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).strip().splitlines()[0]


def run_measured(command: Sequence[str], sender_pids: Sequence[int], is_watched: bool) -> Transfer:
    """From its start to its end, which includes starting the program. Raises RuntimeError if it fails."""
    before_s = cpu_seconds(sender_pids)
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with watching(process.pid, is_watched) as memory:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    sent_s = cpu_seconds(sender_pids) - before_s
    received_s = usage.ru_utime + usage.ru_stime
    return Transfer(seconds, received_s, sent_s, memory.peak_bytes if memory is not None else None)

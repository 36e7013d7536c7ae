"""From starting `cli.py` on a terminal (a pseudo-terminal) to the prompt, and to the answer to the first command.

The first run is a warm-up. The prompt is shown before the client has started; `list_files` without a login is answered
once it has started. Not for: the first start after boot, when nothing is in the page cache.
"""

import argparse
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from bench.record.report import Figure, Section, cell
from tests.testkit.processes import LOOPBACK, ROOT, free_ports, write_tracker_info

_PROMPT = b"shoal>"
_TIMEOUT_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7)


def measure(options: argparse.Namespace) -> Section:
    prompts, answers = [], []
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as name:
        for number in range(options.rounds + 1):
            prompt_s, answer_s = _start_once(Path(name))
            if number:
                prompts.append(prompt_s)
                answers.append(answer_s)
    prompt_s, answer_s = statistics.median(prompts), statistics.median(answers)
    return Section(
        "startup",
        "Starting the program",
        f"Median of {options.rounds} starts under a pseudo-terminal; no tracker is needed for it.",
        ["from the start to", "seconds"],
        [["the prompt", cell(prompt_s)], ["the answer to a command that was typed at once", cell(answer_s)]],
        [Figure("cli.py from start to prompt", 0.6, prompt_s, "s", "at most")],
        data={"prompt_s": prompts, "answer_s": answers},
    )


def _start_once(folder: Path) -> tuple[float, float]:
    tracker_info = write_tracker_info(folder)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    environment = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    command = [sys.executable, str(ROOT / "cli.py"), address, str(tracker_info), "--state", str(folder / "state")]
    started_s = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        _read_until(ours, _PROMPT)
        prompt_s = time.perf_counter() - started_s
        os.write(ours, b"list_files lab\r")
        _read_until(ours, b"not logged in")
        return prompt_s, time.perf_counter() - started_s
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        os.close(ours)


def _read_until(descriptor: int, wanted: bytes) -> None:
    seen, deadline_s = b"", time.monotonic() + _TIMEOUT_S
    while wanted not in seen:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            raise TimeoutError(f"the terminal shows {seen[-300:]!r}, not {wanted!r}")
        seen += os.read(descriptor, 1 << 16)

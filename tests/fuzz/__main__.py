"""`python -m tests.fuzz [NAME …]`: every target, or these, for FUZZ_SECONDS each (60); a line for each as it ends.

What grows the coverage is kept in .fuzz/NAME and begun from the next time. An input that finds something is written
into corpus/NAME, so that the default tests fail on it until the bug is gone, and guard against it for ever after.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.targets import CORPUS, TARGETS

ROOT = Path(__file__).parent.parent.parent
MEMORY_MIB_MAX = 200
_STUCK_S = 60
"""By the clock, for what burns no CPU; the hang looked for is a second of CPU (one)."""


class Result(NamedTuple):
    executions: int
    seconds: float
    peak_mib: int
    verdict: str


def main() -> int:
    names = sys.argv[1:] or list(TARGETS)
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    print(f"{'target':<16} {'executions':>12} {'seconds':>8} {'a second':>9} {'peak MiB':>9}  verdict")
    results = []
    for name in names:
        results.append(run(name, seconds))
        print(_line(name, results[-1]), flush=True)
    whole = Result(
        sum(each.executions for each in results),
        sum(each.seconds for each in results),
        max(each.peak_mib for each in results),
        f"{sum(each.verdict != 'nothing found' for each in results)} of {len(results)} found something",
    )
    print(_line("together", whole))
    return 0 if all(each.verdict == "nothing found" for each in results) else 1


def run(name: str, seconds: int) -> Result:
    grown = ROOT / ".fuzz" / name
    grown.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / name
    command = [
        sys.executable, "-m", "tests.fuzz.one", name, f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB_MAX}",
        f"-timeout={_STUCK_S}", f"-artifact_prefix={kept}/", str(grown), str(kept),
    ]  # fmt: skip
    started_s = time.monotonic()
    ended = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    log = ended.stdout
    (grown.parent / f"{name}.log").write_text(log)
    counts = [int(count) for count in re.findall(r"^#(\d+)", log, re.MULTILINE)]
    peaks = [int(peak) for peak in re.findall(r"rss: (\d+)Mb", log)]
    verdict = "nothing found" if ended.returncode == 0 else _finding(log)
    return Result(max(counts, default=0), time.monotonic() - started_s, max(peaks, default=0), verdict)


def _finding(log: str) -> str:
    """The exception, and where the input is."""
    raised = re.search(r"Uncaught Python exception: ===\n(.*)", log)
    written = re.search(r"Test unit written to (.*)", log)
    place = os.path.relpath(written[1], ROOT) if written else "no input"
    return f"{raised[1] if raised else log.strip().splitlines()[-1]} ({place})"


def _line(name: str, result: Result) -> str:
    rate = result.executions / result.seconds if result.seconds else 0.0
    figures = f"{result.executions:>12,} {result.seconds:>8.0f} {rate:>9,.0f} {result.peak_mib:>9}"
    return f"{name:<16} {figures}  {result.verdict}"


if __name__ == "__main__":
    sys.exit(main())

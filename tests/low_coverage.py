"""`coverage json -o - | python -m tests.low_coverage PERCENT`: names the files of which less than that is covered.

A branch counts as a line does. Not for: failing. A low figure names what to look at; a test that was written for the
figure alone shows nothing.
"""

import json
import sys


def below(report: str, least_percent: float) -> list[str]:
    """One line a file, least first, and one for all files together. `report` is what `coverage json` writes."""
    covered = json.loads(report)
    files = {path: each["summary"]["percent_covered"] for path, each in covered["files"].items()}
    low = sorted((percent, path) for path, percent in files.items() if percent < least_percent)
    lines = [f"{percent:5.1f} %  {path}" for percent, path in low]
    total = covered["totals"]["percent_covered"]
    return [*lines, f"{total:5.1f} %  all {len(files)} files, {len(low)} of them below {least_percent:g} %"]


if __name__ == "__main__":
    print(*below(sys.stdin.read(), float(sys.argv[1])), sep="\n")

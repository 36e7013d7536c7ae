"""All runs of a plan in turn; writes bench/RESULTS.md, RESULTS.json, throughput.svg and the figures of the README.

The options of each run are in the plan (bench.plan) and in the results. The plain plan takes about ten minutes.
`--long` does the runs that take an hour together; the results of the others stay as they are. `--quick` tries all runs
out with tiny sizes: its figures mean nothing, and are written to a temporary folder.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import runs
from bench.plan import LONG_PLAN, PLAN, QUICK_PLAN
from bench.record import results
from bench.record.report import Section


def run(arguments: Sequence[str]) -> int:
    """0, or 1 if a run broke down."""
    parser = argparse.ArgumentParser(prog="python -m bench all", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true")
    which.add_argument("--long", action="store_true")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="shoal-bench-results-")) if options.quick else results.FOLDER
    started_s = time.monotonic()
    sections: list[Section] = []
    broken: dict[str, str] = {}
    for name, *words in QUICK_PLAN if options.quick else LONG_PLAN if options.long else PLAN:
        print(f"\n{name} {' '.join(words)}", file=sys.stderr, flush=True)
        try:
            sections.append(runs.measure(name, words))
        except Exception as error:  # the other figures are worth having, and this run is named as broken
            called = " ".join((name, *words))
            broken[called] = f"{type(error).__name__}: {error}"
            print(broken[called], file=sys.stderr, flush=True)
    print(results.goals(results.record(folder, sections), broken))
    print(f"\n{(time.monotonic() - started_s) / 60:.1f} minutes; all of it is in {folder}/RESULTS.md")
    return 1 if broken else 0

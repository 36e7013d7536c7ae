"""All of them in at most ~10 minutes; writes bench/RESULTS.md, RESULTS.json, throughput.svg and the README's figures.

Options go to nobody: what each run is called with stands in the plan and in the results. `--long`: those that take an
hour together instead; the results of the others stay as they are. `--quick` is for trying the suite out: tiny sizes,
figures without meaning, written to a folder of temporary files.
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
        except Exception as error:  # the other figures are worth having, and this one is said to be missing
            called = " ".join((name, *words))
            broken[called] = f"{type(error).__name__}: {error}"
            print(broken[called], file=sys.stderr, flush=True)
    print(results.goals(results.record(folder, sections), broken))
    print(f"\n{(time.monotonic() - started_s) / 60:.1f} minutes; all of it is in {folder}/RESULTS.md")
    return 1 if broken else 0

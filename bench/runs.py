"""Finds a run by its name, reads its options, measures, and prints the result.

A run is a module (bench.plan says which) with `add_arguments(parser)` and `measure(options) -> Section`; the first line
of its docstring is its summary. `demo` and `all` print by themselves and have `run` instead.
"""

import argparse
import importlib
import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from bench.plan import RUNS
from bench.record import results
from bench.record.report import Section
from tests.testkit.measure import machine


def run(name: str, arguments: Sequence[str]) -> int:
    """The exit code."""
    module = _module(name)
    if hasattr(module, "run"):
        code: int = module.run(*([arguments] if name == "all" else []))
        return code
    parser = argparse.ArgumentParser(prog=f"python -m bench {name}", description=module.__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep machine, figures and raw samples here")
    parser.add_argument("--record", action="store_true", help="put it into bench/RESULTS.md in place of the last one")
    section = _measure(module, parser, arguments, name)
    options = parser.parse_args(arguments)
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), **section.as_json()}, indent=1) + "\n")
    print(section.markdown())
    if options.record:
        results.record(results.FOLDER, [section])
    return 0


def measure(name: str, arguments: Sequence[str]) -> Section:
    """The same without printing, for `all`."""
    return _measure(_module(name), argparse.ArgumentParser(prog=name), arguments, name)


def summary_of(name: str) -> str:
    """What it does, in a line."""
    return (_module(name).__doc__ or "").split("\n")[0]


def _measure(module: ModuleType, parser: argparse.ArgumentParser, arguments: Sequence[str], name: str) -> Section:
    module.add_arguments(parser)
    section: Section = module.measure(parser.parse_args(arguments))
    section.command = shlex.join(["python", "-m", "bench", name, *(word for word in arguments if word != "--record")])
    section.when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return section


def _module(name: str) -> ModuleType:
    return importlib.import_module(RUNS[name])

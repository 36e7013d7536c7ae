"""Every run that is named anywhere exists, and takes the options that it is named with."""

import argparse
import json
import re
import shlex
from importlib import import_module
from importlib.util import find_spec

import pytest

from bench.plan import LONG_PLAN, PLAN, QUICK_PLAN, RUNS
from bench.record.results import FOLDER
from tests.testkit.processes import ROOT

RECORDED = [each["command"] for each in json.loads((FOLDER / "RESULTS.json").read_text())["runs"]]
STARTED_BY_NAME = sorted(
    {
        name
        for where in ("bench", "tests/testkit", "tests/end_to_end", "tests/faults", "tests/fuzz", "tests/hostile")
        for path in (ROOT / where).rglob("*.py")
        for name in re.findall(r'"((?:bench|tests)(?:\.\w+)+)"', path.read_text())
    }
)


def parse(name: str, options: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    import_module(RUNS[name]).add_arguments(parser)
    parser.parse_args(options)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_a_summary_and_something_to_do(name: str) -> None:
    module = import_module(RUNS[name])
    assert (module.__doc__ or "").split("\n")[0].endswith(".")
    assert hasattr(module, "run") or (hasattr(module, "measure") and hasattr(module, "add_arguments"))


@pytest.mark.parametrize("planned", sorted({*PLAN, *LONG_PLAN, *QUICK_PLAN}), ids=" ".join)
def test_a_plan_calls_runs_with_options_that_they_take(planned: tuple[str, ...]) -> None:
    parse(planned[0], list(planned[1:]))


def test_the_quick_plan_tries_every_run() -> None:
    assert {name for name, *_ in QUICK_PLAN} == RUNS.keys() - {"demo", "all"}


@pytest.mark.parametrize("command", RECORDED)
def test_a_recorded_command_can_be_given_again(command: str) -> None:
    python, dash_m, bench, name, *options = shlex.split(command)
    assert (python, dash_m, bench) == ("python", "-m", "bench")
    parse(name, options)


@pytest.mark.parametrize("module", STARTED_BY_NAME)
def test_a_module_that_is_started_by_its_name_exists(module: str) -> None:
    assert find_spec(module) is not None

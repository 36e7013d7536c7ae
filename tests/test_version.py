"""There is one version: what both commands print is what the package was built with."""

import subprocess
import sys
from importlib import metadata

import pytest

from tests.testkit.processes import ROOT
from tracker.version import VERSION


@pytest.mark.parametrize(("command", "name"), [(["cli.py"], "shoal"), (["-m", "tracker"], "shoal tracker")])
def test_each_command_prints_the_version_and_ends(command: list[str], name: str) -> None:
    ended = subprocess.run(
        [sys.executable, *command, "--version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{name} {VERSION}\n", "")


def test_the_package_has_the_version_of_the_commands() -> None:
    assert metadata.version("shoal") == VERSION

"""docs/security.md names a test for every claim, and each of them is there."""

import ast
import re
from pathlib import Path
from typing import get_args

from tracker.protocol import requests

REPOSITORY = Path(__file__).parent.parent
TEXT = (REPOSITORY / "docs/security.md").read_text()


def test_every_cannot_names_a_test() -> None:
    for section in TEXT.split("Cannot:\n")[1:]:
        claims = re.findall(r"^- .*(?:\n  .*)*", section.split("\n## ")[0], re.MULTILINE)
        assert claims
        assert all("::test_" in claim for claim in claims), claims


def test_every_test_it_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) == TEXT.count("::test_")
    for path, name in named:
        tree = ast.parse((REPOSITORY / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{path}::{name}"


def test_the_table_of_what_requests_are_allowed_by_has_each_of_them_once() -> None:
    section = TEXT.split("## What each request to a tracker is allowed by\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(kind.__name__ for kind in get_args(requests.Request))

"""Who may import whom, what pure code may not touch, and how long things may get: read off the source, nothing run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400

MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for path in [REPOSITORY / "cli.py", *REPOSITORY.glob("engine/**/*.py"), *REPOSITORY.glob("tracker/**/*.py")]
}
PARSED = {module: ast.parse(path.read_text()) for module, path in MODULES.items()}

FOLDERS = ["engine.shell", "engine.transfer", "engine.net", "engine.storage", "engine.wire", "engine.swarm"]
LEAVES = ["engine.settings", "engine.errors", "engine.reports"]
TOP = [
    module for module in MODULES
    if module.count(".") == 1 and module.startswith("engine.") and module not in FOLDERS + LEAVES
]  # fmt: skip
TRACKER_FOR_TOP = [f"tracker.{name}" for name in ("client", "protocol", "tickets", "addresses", "names", "errors")]
STREAMS = "tracker.standard_streams"
"""How both programs deal with what they were started with."""

MAY_IMPORT: dict[str, list[str]] = {
    "cli": ["engine.shell", STREAMS],
    "engine.shell": [*TOP, "engine.reports", "engine.errors", STREAMS],
    "engine.transfer": ["engine.net", "engine.storage", "engine.wire", "engine.swarm", *LEAVES],
    "engine.net": ["engine.wire", "engine.swarm", "engine.settings", "engine.errors"],
    "engine.storage": ["engine.swarm", "engine.settings", "engine.errors"],
    "engine.wire": ["engine.swarm.geometry", "engine.errors"],
    "engine.swarm": ["engine.settings", "engine.errors"],
    "engine.top": [*TOP, *FOLDERS[1:], *LEAVES, *TRACKER_FOR_TOP],
    "engine": [],
    "tracker": ["tracker"],
} | {leaf: [] for leaf in LEAVES}
"""A layer to what it may import of this repository, beside itself."""

PURE_TRACKER = [
    "protocol", "pushed", "vocabulary", "names", "permissions", "presence", "handout", "tickets", "addresses",
    "throttle", "doorkeeper", "invite_codes", "quotas", "token_buckets", "promptness",
    "reach_warnings",
]  # fmt: skip
PURE = ["engine.swarm", "engine.wire", "engine.client.spellings", *(f"tracker.{name}" for name in PURE_TRACKER)]
IMPURE = {"socket", "os", "mmap", "ssl", "asyncio", "multiprocessing", "time"}
VAGUE_NAMES = {"utils", "helpers", "common", "misc", "manager", "base"}


def layer_of(module: str) -> str:
    if module in TOP:
        return "engine.top"
    return next((layer for layer in MAY_IMPORT if is_within(module, [layer]) and layer != "engine"), "engine")


def is_within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module), also those inside functions; `from package import module` names the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{package}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else package


def import_violations(module: str, tree: ast.AST) -> Iterator[str]:
    layer = layer_of(module)
    allowed = [layer, *MAY_IMPORT[layer]] if layer not in ("engine", "engine.top") else MAY_IMPORT[layer]
    for line, imported in imports_of(tree):
        is_ours = imported.split(".")[0] in ("cli", "engine", "tracker", "bench", "tests", "")
        if is_ours and not is_within(imported, allowed):
            yield f"{module}:{line} imports {imported}"


def purity_violations(module: str, tree: ast.AST) -> Iterator[str]:
    for line, imported in imports_of(tree):
        if imported.split(".")[0] in IMPURE:
            yield f"{module}:{line} imports {imported}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "random" and [n.name for n in node.names] != ["Random"]:
            yield f"{module}:{node.lineno} takes more than the type Random from random"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random":
            if node.attr != "Random":
                yield f"{module}:{node.lineno} uses random.{node.attr}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("random.Random", "Random"):
            yield f"{module}:{node.lineno} makes its own randomness"


def length_violations(module: str, tree: ast.AST, line_count: int) -> Iterator[str]:
    if line_count > FILE_LINES_MAX:
        yield f"{module} has {line_count} lines, {FILE_LINES_MAX} is the limit"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{module}:{node.lineno} {node.name} has {length} lines, {FUNCTION_LINES_MAX} is the limit"


def check(violations: list[str]) -> None:
    assert not violations, "\n  " + "\n  ".join(violations)


def test_every_file_imports_from_its_own_layer_or_below() -> None:
    check([each for module, tree in PARSED.items() for each in import_violations(module, tree)])


def test_pure_code_touches_no_system_no_clock_and_no_chance() -> None:
    pure = {module: tree for module, tree in PARSED.items() if is_within(module, PURE)}
    assert all(any(is_within(module, [each]) for module in pure) for each in PURE), "a pure file is gone; name it anew"
    check([each for module, tree in pure.items() for each in purity_violations(module, tree)])


def test_functions_fit_a_screen_and_files_stay_short() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    check([each for module in MODULES for each in length_violations(module, PARSED[module], lengths[module])])


def test_every_module_says_what_it_is_for() -> None:
    check([f"{module} has no docstring" for module, tree in PARSED.items() if not ast.get_docstring(tree)])


def test_no_module_has_a_name_that_says_nothing() -> None:
    check([module for module in MODULES if VAGUE_NAMES & set(module.split("."))])


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cli", "from engine.client import Client"),
        ("engine.shell.terminal.prompt", "from engine.transfer import pool"),
        ("engine.shell.terminal.prompt", "from tracker import client"),
        ("engine.client", "from engine.shell import lines"),
        ("engine.client", "from tracker.service import Service"),
        ("engine.client", "from tracker import service"),
        ("engine.coordinator.pool", "import engine.client"),
        ("engine.coordinator.pool", "from tracker.protocol import File"),
        ("engine.net.tls", "from engine.storage import journal"),
        ("engine.storage.journal", "import engine.wire.codec"),
        ("engine.wire.codec", "from engine.swarm.bitfield import pack"),
        ("engine.wire.codec", "from engine.swarm import bitfield"),
        ("engine.swarm.picker", "def late():\n from engine.wire import codec"),
        ("engine.swarm.picker", "from . import window"),
        ("engine.settings", "from engine import errors"),
        ("tracker.server", "from engine.errors import LocalError"),
        ("tracker.server", "import tests.testkit.fakes"),
    ],
)
def test_the_import_rule_catches(module: str, source: str) -> None:
    assert list(import_violations(module, ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    ["import os.path", "from time import time", "import random\nrandom.random()", "from random import choice",
     "import random\nrandom.Random(1)", "def f():\n import asyncio"],
)  # fmt: skip
def test_the_purity_rule_catches(source: str) -> None:
    assert list(purity_violations("engine.swarm.picker", ast.parse(source)))


def test_the_length_rule_catches() -> None:
    long = "def long():\n" + "    pass\n" * FUNCTION_LINES_MAX
    assert list(length_violations("engine.swarm.picker", ast.parse(long), 100))
    assert list(length_violations("engine.swarm.picker", ast.parse(""), FILE_LINES_MAX + 1))

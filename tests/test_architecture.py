"""Which room may import which, what pure code may not touch, and how long things may get: read off the source alone."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400
ROOM_FILES_MIN, ROOM_FILES_MAX = 2, 16
"""Of a folder with code, its `__init__` left out."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_of(path): path
    for where in ("cli.py", "engine/**/*.py", "tracker/**/*.py")
    for path in REPOSITORY.glob(where)
}
AROUND = {module_of(path): path for where in ("bench/**/*.py", "tests/**/*.py") for path in REPOSITORY.glob(where)}
PARSED = {module: ast.parse(path.read_text()) for module, path in (MODULES | AROUND).items()}

PROCESS = "engine.process"
"""How every process of a client keeps its tasks and its descriptor limit."""
LEAVES = ["engine.settings", "engine.errors", "engine.reports"]
STREAMS = "tracker.standard_streams"
"""How both programs deal with the standard streams that they were started with."""
_SWARM = ["engine.swarm", *LEAVES]
_FILES_AND_WIRE = ["engine.storage", "engine.wire", *_SWARM]
_WORKER = ["engine.ipc", "engine.net", *_FILES_AND_WIRE]
_PROTOCOL = ["tracker.protocol", "tracker.settings"]
_STORE = ["tracker.store", "tracker.rules", *_PROTOCOL]

MAY_IMPORT: dict[str, list[str]] = {
    "cli": ["engine.shell", STREAMS, "tracker.version"],
    "engine.shell": ["engine.client", PROCESS, *LEAVES, STREAMS],
    "engine.client": ["engine.coordinator", PROCESS, *_WORKER, "tracker.client", *_PROTOCOL],
    "engine.coordinator": ["engine.worker.worker_process", PROCESS, *_WORKER],
    "engine.worker": [PROCESS, *_WORKER],
    "engine.ipc": _FILES_AND_WIRE,
    "engine.net": ["engine.wire", *_SWARM],
    "engine.storage": _SWARM,
    "engine.wire": _SWARM,
    "engine.swarm": LEAVES,
    PROCESS: [],
    "engine": [],
    "tracker.__main__": ["tracker"],
    "tracker.admin": [*_STORE, STREAMS],
    "tracker.server": ["tracker.service", *_STORE, STREAMS],
    "tracker.service": _STORE,
    "tracker.store": ["tracker.rules", *_PROTOCOL],
    "tracker.rules": _PROTOCOL,
    "tracker.client": _PROTOCOL,
    "tracker.protocol": ["tracker.settings"],
    "tracker.settings": [],
    "tracker.standard_streams": [],
    "tracker.version": [],
    "tracker": [],
    "bench": ["tests.testkit", "engine", "tracker"],
    "tests.testkit": ["engine", "tracker"],
    "tests": ["tests.testkit", "engine", "tracker", "cli"],
    "tests.bench": ["bench", "tests.testkit"],
} | {leaf: [] for leaf in LEAVES}
"""A room, or a file that stands by itself, to what it may import of this repository, beside itself."""

PURE = [
    "engine.swarm", "engine.wire", "engine.client.spellings", "tracker.rules", "tracker.protocol",
    "tracker.client.promptness",
]  # fmt: skip
IMPURE = {"socket", "os", "mmap", "ssl", "asyncio", "multiprocessing", "time"}
VAGUE_NAMES = {"utils", "helpers", "common", "misc", "manager", "base"}


def room_of(module: str) -> str:
    """The longest name in MAY_IMPORT that this module is or lies in."""
    return max((room for room in MAY_IMPORT if is_within(module, [room])), key=len)


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
                yield node.lineno, inner if inner in PARSED else package


def import_violations(module: str, tree: ast.AST) -> Iterator[str]:
    room = room_of(module)
    allowed = [*([room] if room not in ("engine", "tracker") else []), *MAY_IMPORT[room]]
    for line, imported in imports_of(tree):
        is_ours = imported.split(".")[0] in ("cli", "engine", "tracker", "bench", "tests", "")
        if is_ours and not is_within(imported, allowed):
            yield f"{module}:{line} imports {imported}"


def circles_of(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other, directly or through others: one line a circle (Tarjan's components)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[str] = []

    def visit(module: str) -> None:
        numbers[module] = lowest[module] = len(numbers)
        stack.append(module)
        for other in sorted(imports[module]):
            if other not in numbers:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], numbers[other])
        if lowest[module] == numbers[module]:
            circle = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(circle) > 1:
                found.append(" ↔ ".join(sorted(circle)))

    for module in sorted(imports):
        if module not in numbers:
            visit(module)
    return found


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


def test_every_file_imports_from_its_own_room_or_one_below() -> None:
    check([each for module, tree in PARSED.items() for each in import_violations(module, tree)])


def test_no_files_import_each_other_in_a_circle() -> None:
    imports = {module: {name for _, name in imports_of(tree)} & PARSED.keys() for module, tree in PARSED.items()}
    check(circles_of(imports))


def test_a_room_is_neither_a_file_nor_a_hall() -> None:
    rooms: dict[Path, int] = {}
    for path in (REPOSITORY / top for top in ("engine", "tracker", "bench")):
        for file in path.rglob("*.py"):
            rooms[file.parent] = rooms.get(file.parent, 0) + (file.name != "__init__.py")
    top_folders = {REPOSITORY / top for top in ("engine", "tracker", "bench")}
    check(
        [
            f"{room.relative_to(REPOSITORY)} has {count} files"
            for room, count in rooms.items()
            if not ROOM_FILES_MIN <= count <= ROOM_FILES_MAX and room not in top_folders
        ]
    )


def test_pure_code_touches_no_system_no_clock_and_no_chance() -> None:
    pure = {module: tree for module, tree in PARSED.items() if is_within(module, PURE)}
    assert all(any(is_within(module, [each]) for module in pure) for each in PURE), "a pure room is gone; name it anew"
    check([each for module, tree in pure.items() for each in purity_violations(module, tree)])


def test_functions_fit_a_screen_and_files_stay_short() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    check([each for module in MODULES for each in length_violations(module, PARSED[module], lengths[module])])


def test_every_module_says_what_it_is_for() -> None:
    check([f"{module} has no docstring" for module in MODULES if not ast.get_docstring(PARSED[module])])


def test_no_module_has_a_name_that_says_nothing() -> None:
    check([module for module in MODULES if VAGUE_NAMES & set(module.split("."))])


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cli", "from engine.client.client import Client"),
        ("engine.shell.prompt", "from engine.coordinator import pool"),
        ("engine.shell.prompt", "from tracker.client import client"),
        ("engine.client.client", "from engine.shell import lines"),
        ("engine.client.client", "from tracker.service.dispatch import Service"),
        ("engine.client.client", "from engine.worker.worker import Worker"),
        ("engine.coordinator.pool", "import engine.client.client"),
        ("engine.coordinator.pool", "from tracker.protocol.requests import Announce"),
        ("engine.coordinator.pool", "from engine.worker import gate"),
        ("engine.worker.worker", "from engine.coordinator.pool import Pool"),
        ("engine.ipc.message_socket", "from engine.net import tls"),
        ("engine.net.tls", "from engine.storage import journal"),
        ("engine.storage.journal", "import engine.wire.codec"),
        ("engine.wire.codec", "from engine.storage import journal"),
        ("engine.swarm.picker", "def late():\n from engine.wire import codec"),
        ("engine.swarm.picker", "from . import window"),
        ("engine.settings", "from engine import errors"),
        ("tracker.server.server", "from engine.errors import LocalError"),
        ("tracker.server.server", "import tests.testkit.fakes"),
        ("tracker.service.groups", "from tracker.server import listener"),
        ("tracker.store.files", "from tracker.service import groups"),
        ("tracker.rules.presence", "from tracker.store import schema"),
        ("tracker.protocol.requests", "from tracker.rules import permissions"),
        ("tracker.client.client", "from tracker.rules import permissions"),
        ("tests.engine.swarm.test_picker", "from bench import plan"),
        ("tests.testkit.processes", "from bench import plan"),
        ("bench.plan", "from tests.end_to_end import world"),
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


def test_the_circle_rule_catches() -> None:
    assert circles_of({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a ↔ b ↔ c"]
    assert circles_of({"a": {"b"}, "b": {"c"}, "c": set()}) == []

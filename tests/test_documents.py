"""The documents name what exists: links resolve, named files are there, docs/api.md has every command and code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from engine.coordinator.download import peer_book
from engine.reports import DownloadState, DownloadStatus, ShareState
from engine.shell.commands import COMMANDS
from tracker.protocol.types import ErrorCode

REPOSITORY = Path(__file__).parent.parent
DOCUMENTS = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
API = (REPOSITORY / "docs/api.md").read_text()

LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.~-])((?:bench|cli|docs|engine|tests|tracker)(?:/[\w.-]+)+(?:\.\w+|/)?|cli\.py)(?![\w-])")
"""In backquotes only: `tests/engine/swarm/test_picker.py`, `engine/swarm/`."""
SHORT_PATH = re.compile(r"(?<![\w/.~-])([a-z_]+(?:/[a-z_]+)+\.py)(?![\w-])")
"""A file below `engine/` or `tracker/`, as the map names it: `coordinator/download/download.py`."""
ROOMS_DOWNWARDS = [
    "engine/shell", "engine/client", "tracker/client", "engine/coordinator", "engine/worker", "engine/net",
    "tracker/server", "tracker/service", "tracker/store",
]  # fmt: skip
LINES_MAX = {"README.md": 150, "docs/architecture.md": 150}


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def anchors_of(path: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def quoted_in(path: Path) -> Iterator[str]:
    yield from re.findall(r"`([^`\n]+)`", path.read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_resolves(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if "://" in link:
            continue
        where, _, anchor = link.partition("#")
        target = (document.parent / where).resolve() if where else document
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_that_is_named_exists(document: Path) -> None:
    for quoted in quoted_in(document):
        for path in PATH.findall(quoted.partition("::")[0]):
            assert (REPOSITORY / path).exists() or (REPOSITORY / f"{path}.py").exists() or is_constant(path), path
        for path in SHORT_PATH.findall(quoted):
            tops = (REPOSITORY, REPOSITORY / "engine", REPOSITORY / "tracker")
            rooms = [room for top in tops[1:] for room in top.iterdir()]
            assert any((folder / path).exists() for folder in (*tops, *rooms)), path


def is_constant(path: str) -> bool:
    """`tracker/settings.CONNECTIONS_MAX`; test_limits looks at the name."""
    return (REPOSITORY / path).with_suffix(".py").exists()


@pytest.mark.parametrize(("name", "lines"), LINES_MAX.items())
def test_what_everybody_reads_is_short(name: str, lines: int) -> None:
    assert len((REPOSITORY / name).read_text().splitlines()) <= lines


def test_every_command_is_listed_with_its_usage_and_its_fields() -> None:
    for command in COMMANDS.values():
        assert f"| `{command.usage}` |" in API, command.usage
        fields = API.split("| command | fields of its result |")[1]
        assert re.search(rf"^\|.*`{command.name}`.*\|.+\|$", fields, re.MULTILINE), command.name


def test_every_field_and_state_of_a_download_and_of_a_share_is_explained() -> None:
    table = API.split("| field of a download | meaning |")[1].split("\n\n")[0]
    assert set(DownloadStatus.__struct_fields__) <= set(re.findall(r"`(\w+)`", table))
    assert set(get_args(DownloadState)) <= set(re.findall(r"`(\w+)`", table))
    assert set(get_args(ShareState)) <= set(re.findall(r"`(\w+)`", API))
    assert set(peer_book._CAUSES) <= set(re.findall(r"`(\w+)`", API))


def test_every_code_of_an_error_and_of_a_notice_is_listed() -> None:
    errors = set(re.findall(r"`(\w+)`", API.split("| codes of errors | about |")[1].split("\n\n")[0]))
    notices = set(re.findall(r"`(\w+)`", API.split("| codes of notices | about |")[1].split("\n\n")[0]))
    assert set(get_args(ErrorCode)) | set(codes_of_errors()) <= errors
    assert set(codes_of_notices()) | {f"share_{state}" for state in ("missing", "unreadable")} == notices


def nodes_of_the_engine() -> Iterator[ast.AST]:
    for file in (REPOSITORY / "engine").rglob("*.py"):
        yield from ast.walk(ast.parse(file.read_text()))


def codes_of_errors() -> Iterator[str]:
    """The second word of an error that is made, where it is written out there."""
    errors = {"LocalError", "StorageError", "ShoalError", "TrackerUnavailable", "RemoteProtocolError"}
    for node in nodes_of_the_engine():
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in errors:
            yield from words_in(*node.args[1:2], *(each.value for each in node.keywords if each.arg == "code"))


def codes_of_notices() -> Iterator[str]:
    """The code of each type of notice, and of what the shell itself remarks."""
    for node in nodes_of_the_engine():
        if isinstance(node, ast.ClassDef) and "Notice" in map(ast.unparse, node.bases):
            yield from words_in(*(each.value for each in node.body if isinstance(each, ast.Assign)))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Remark":
            yield from words_in(*node.args[:1])


def words_in(*values: ast.expr) -> Iterator[str]:
    yield from (each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str))


def test_the_map_names_every_room() -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text()
    rooms = {file.parent for top in ("engine", "tracker", "bench", "tests/testkit") for file in glob_of_code(top)}
    unnamed = [name_of(room) for room in rooms if f"`{name_of(room)}/" not in text and f"`{room.name}/`" not in text]
    assert unnamed == ["tracker/store/migrations/versions"]


def test_a_walk_has_at_most_eight_files_and_does_not_turn_back() -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text().split("\n## Three walks\n")[1].split("\n## ")[0]
    walks = [re.findall(r"\d\. `([\w/]+)/\w+\.py`", walk) for walk in text.split("\n\n**")[1:]]
    assert len(walks) == 3
    for rooms in walks:
        ranks = [next(rank for rank, room in enumerate(ROOMS_DOWNWARDS) if at.startswith(room)) for at in rooms]
        assert 4 < len(rooms) <= 8
        assert ranks in (sorted(ranks), sorted(ranks, reverse=True)), rooms


def glob_of_code(top: str) -> Iterator[Path]:
    return (REPOSITORY / top).rglob("*.py")


def test_every_document_that_code_points_to_exists() -> None:
    for top in ("engine", "tracker", "bench", "tests"):
        for file in (REPOSITORY / top).rglob("*.py"):
            for name in re.findall(r"docs/\w+\.md", file.read_text()):
                assert (REPOSITORY / name).exists(), f"{file}: {name}"

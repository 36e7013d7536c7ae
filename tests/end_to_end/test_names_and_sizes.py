"""Any name and any size arrives as it was, or is refused before anything happens."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.world import World, download, quote, refusal, upload
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("names")]

PIECE = 256 << 10
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 4 * PIECE - 1, 4 * PIECE, 4 * PIECE + 1]
NAMES = [
    "two words", " blanks around ", "it's", 'a "quote"', "back\\slash", "#not a comment", "$HOME *?[x]", "~",
    "ünïcödé 漢字 🐟", "e\u0301 decomposed", "-rf", "--help", "x" * 255, "é" * 127, ".hidden",
    ".x.part", "trailing.", "a\u00a0b",
]  # fmt: skip
BAD_NAMES = [
    "bell\x07", "\x1b[31mred", "tab\there", "del\x7f", "c1\x85", "fdp.\u202egnp", "line\u2028end", "latin\udce9"
]  # fmt: skip
"""The last one is a byte that is not UTF-8."""


@dataclass
class Pair:
    world: World
    giver: ShellProcess
    taker: ShellProcess

    def group(self) -> str:
        return self.world.new_group(self.giver, (self.taker, "taker"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    world = World(tmp_path_factory.mktemp("names"))
    try:
        world.start_tracker()
        yield Pair(world, world.join_in("giver"), world.join_in("taker"))
    finally:
        world.close()


def assert_arrives(pair: Pair, file: Path) -> None:
    group, target, content = pair.group(), pair.world.new_folder(), file.read_bytes()
    report = upload(pair.giver, file, group)
    assert (report["name"], report["size_bytes"]) == (file.name, len(content))
    (entry,) = pair.taker.expect(f"list_files {group}")["files"]
    assert (entry["name"], entry["size_bytes"]) == (file.name, len(content))
    report = download(pair.taker, group, file.name, target)
    assert os.listdir(target) == [file.name]
    assert (target / file.name).read_bytes() == content
    assert report["bytes_by_peer"] == ({"giver": len(content)} if content else {})


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_file_of_any_size_arrives_as_it_was(pair: Pair, size_bytes: int) -> None:
    assert_arrives(pair, pair.world.new_file("data.bin", size_bytes))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_harmless_name_arrives_as_it_was(pair: Pair, name: str) -> None:
    assert_arrives(pair, pair.world.new_file(name, PIECE + 1))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_act_on_a_terminal_is_refused_on_both_sides(pair: Pair, name: str) -> None:
    group, target = pair.group(), pair.world.new_folder()
    file = pair.world.new_file(name)
    assert refusal(pair.giver, f"upload_file {quote(file)} {group}") == "bad_name"
    assert refusal(pair.taker, f"download_file {group} {quote(name)} {target}") == "bad_name"
    assert pair.giver.expect(f"list_files {group}")["files"] == []
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["..", ".", "''", "a/b", "../../etc/passwd", "/etc/passwd", "x" * 256, "é" * 128])
def test_a_name_that_could_leave_the_folder_is_refused(pair: Pair, name: str) -> None:
    group, target = pair.group(), pair.world.new_folder()
    assert refusal(pair.taker, f"download_file {group} {name} {target}") == "bad_name"
    assert list(target.iterdir()) == []


def test_a_folder_above_is_no_file(pair: Pair) -> None:
    group = pair.group()
    assert refusal(pair.giver, f"upload_file .. {group}") == "not_a_file"
    assert refusal(pair.giver, f"upload_file {pair.world.folder}/.. {group}") == "not_a_file"
    assert refusal(pair.giver, f"upload_file / {group}") == "bad_name"


def test_a_path_as_a_destination_may_have_any_name_too(pair: Pair) -> None:
    group, file, target = pair.group(), pair.world.new_file("plain"), pair.world.new_folder()
    upload(pair.giver, file, group)
    for name in ("-rf", "x" * 255, "ünï 'cödé'"):
        download(pair.taker, group, "plain", target / name)
        assert (target / name).read_bytes() == file.read_bytes()
        pair.taker.expect(f"stop_share {group} plain")
    assert refusal(pair.taker, f"download_file {group} plain {target}/{'x' * 256}") in ("no_folder", "bad_name")
    assert len(os.listdir(target)) == 3

"""Names that would leave the folder, rule a terminal or deceive a reader, and links planted at the destination."""

import os
import secrets

import pytest

from tests.end_to_end.world import download
from tests.hostile.arena import FILE, GROUP, Arena
from tracker.protocol import manifests, requests, results

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("hostile names")]

BAD_NAMES = [
    "..", ".", "../up", "a/../../b", "/etc/passwd", "sub/file", "nul\0byte", "line\nbreak", "\x1b[2Jescape", "\r",
    "bidi\u202etxt.exe", "isolate\u2066x", "mark\u200f", "line\u2028separator", "del\x7f", "c1\x9bcontrol",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_hostile_name_is_not_published(arena: Arena, name: str) -> None:
    mallory = arena.again(arena.mallory)
    answer = mallory.tracker.ask(manifests.Publish(GROUP, name, 0, 1 << 18, bytes(32), b""))
    assert isinstance(answer, results.Refused)
    assert answer.code == "bad_name"
    assert answer.message.isprintable(), "the refusal is shown on a terminal"
    mallory.close()


@pytest.mark.parametrize("name", ["\u3164", "\u2800", "\u200d", "\u115f \u00a0", " ", "\ufeff"], ids=ascii)
def test_a_name_of_nothing_visible_is_not_published(arena: Arena, name: str) -> None:
    mallory = arena.again(arena.mallory)
    answer = mallory.tracker.ask(manifests.Publish(GROUP, name, 0, 1 << 18, bytes(32), b""))
    assert isinstance(answer, results.Refused)
    assert answer.code == "bad_name"
    assert answer.message.isascii(), "the refusal shows what cannot be seen"
    mallory.close()


@pytest.mark.parametrize("name", ["\u0430nn", "\uff41nn", "ANN", "Bob", "aNn", "..", "--help", "-x"], ids=ascii)
def test_nobody_takes_an_id_that_could_be_taken_for_anothers(arena: Arena, name: str) -> None:
    mallory = arena.again(arena.mallory)
    answer = mallory.tracker.ask(requests.CreateUser(name, "pw"))
    assert isinstance(answer, results.Refused)
    assert answer.code in ("bad_name", "user_taken")
    mallory.close()


@pytest.mark.parametrize("name", ["l\u0430b", "LAB", "Lab", "\uff4cab", "-lab", ".lab"], ids=ascii)
def test_nobody_makes_a_group_that_could_be_taken_for_another(arena: Arena, name: str) -> None:
    mallory = arena.again(arena.mallory)
    answer = mallory.tracker.ask(requests.CreateGroup(name))
    assert isinstance(answer, results.Refused)
    assert answer.code in ("bad_name", "group_taken")
    mallory.close()


@pytest.mark.parametrize("name", ["a b", "a/b", "x\x1b[2J", "\u202eann", "e\u0301", "", "x" * 65], ids=ascii)
@pytest.mark.parametrize("kind", ["user", "group"])
def test_a_hostile_user_or_group_id_is_refused(arena: Arena, kind: str, name: str) -> None:
    mallory = arena.again(arena.mallory)
    request = requests.CreateUser(name, "pw") if kind == "user" else requests.CreateGroup(name)
    answer = mallory.tracker.ask(request)
    assert isinstance(answer, results.Refused)
    assert answer.code in ("bad_name", "bad_request")
    mallory.close()


@pytest.mark.parametrize("name", [*BAD_NAMES[:8], "con"], ids=ascii)
def test_a_client_takes_no_hostile_name_from_a_command_either(arena: Arena, name: str) -> None:
    target = arena.world.new_folder()
    quoted = name.replace("\0", "").replace("\n", "")
    answer = arena.bob.run(f"download_file {GROUP} '{quoted}' {target}")
    assert not answer["ok"]
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "dangling", "folder"])
def test_a_symbolic_link_at_the_destination_is_not_followed(arena: Arena, place: str) -> None:
    target, elsewhere = arena.world.new_folder(), arena.world.new_folder()
    victim = elsewhere / "victim"
    if place == "file":
        victim.write_text("precious")
    os.symlink(victim, target / FILE)
    if place == "folder":
        os.unlink(target / FILE)
        os.symlink(elsewhere, target / FILE)
        victim.write_text("precious")
    answer = arena.bob.run(f"download_file {GROUP} {FILE} {target / FILE if place != 'folder' else target}")
    assert not answer["ok"]
    assert answer["error"]["code"] == "target_exists"
    assert not victim.exists() if place == "dangling" else victim.read_text() == "precious"


def test_a_symbolic_link_in_place_of_the_part_file_is_not_followed(arena: Arena) -> None:
    target, elsewhere = arena.world.new_folder(), arena.world.new_folder()
    victim = elsewhere / "victim"
    victim.write_text("precious")
    os.symlink(victim, target / f".{FILE}.part")
    answer = arena.bob.run(f"download_file {GROUP} {FILE} {target}")
    assert not answer["ok"]
    assert victim.read_text() == "precious"


def test_names_that_differ_in_case_are_different_files(arena: Arena) -> None:
    """None of them ever lands on another."""
    folder, target = arena.world.new_folder(), arena.world.new_folder()
    group = f"names{secrets.token_hex(3)}"
    arena.ann.expect(f"create_group {group}")
    arena.bob.expect(f"join_group {group}")
    arena.ann.expect(f"accept_request {group} bob")
    names = ["Data", "data", "DATA", "caf\u00e9", "con", "nul.txt", "a:b", "trailing "]
    for name in names:
        (folder / name).write_text(name)
        arena.ann.expect(f"upload_file '{folder / name}' {group}")
    for name in names:
        download(arena.bob, group, name, target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {name: name for name in names}

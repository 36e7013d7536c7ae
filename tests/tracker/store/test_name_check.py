"""The operator sees which older names clash or could not be given today."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from tests.tracker.service.test_dispatch import a_file
from tests.tracker.service.test_spellings import add_older
from tests.tracker.store.test_migrations import execute, make_first_version
from tracker import admin
from tracker.protocol.names import fold_id, normal_file_name
from tracker.store import schema
from tracker.store.name_check import describe_names
from tracker.store.store import StoreError

if TYPE_CHECKING:
    from tests.tracker.conftest import Office

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


async def make_older(office: "Office", group_ids: list[str], names: list[str]) -> None:
    """Groups of ann, and files in the group lab, from before the rules for names."""
    (ann,) = await office.gather("lab", "ann")
    async with office.store.changing() as db:
        for group_id in group_ids:
            row = {"group_id": group_id, "folded": fold_id(group_id), "apart": group_id, "owner": "ann", "epoch": 1}
            await db.execute(schema.groups.insert().values(row | {"is_open": False}))
    for number, name in enumerate(names):
        root = bytes([number]) * 32
        await ann.ask(a_file("lab", f"for now {number}", root))
        row = {"name": name, "normal": normal_file_name(name), "apart": name}
        async with office.store.changing() as db:
            await db.execute(update(schema.files).where(schema.files.c.root == root).values(row))


async def names_of(office: "Office") -> list[str]:
    async with office.store.reading() as db:
        return (await describe_names(db)).splitlines()


async def test_a_tracker_whose_names_were_all_made_under_the_rules_has_nothing_to_list(office: "Office") -> None:
    (ann,) = await office.gather("Lab", "Ann")
    for number, name in enumerate(("Data", "data", COMPOSED)):
        await ann.ask(a_file("Lab", name, bytes([number]) * 32))
    (line,) = await names_of(office)
    assert "none clashes" in line


async def test_what_clashes_or_is_not_given_any_more_is_listed_in_ascii(office: "Office") -> None:
    await add_older(office, "Bob", "bob", "\u0430nn", "..", "solo")
    await make_older(office, ["LAB", "a@b"], [COMPOSED, DECOMPOSED, "\u3164", "plain", "A\u030a"])
    lines = await names_of(office)
    assert lines[:-1] == [
        "accounts that differ in capital letters only: 'Bob', 'bob'",
        "account with an id that is not given any more: '..'",
        "account with an id that is not given any more: '\\u0430nn'",
        "groups that differ in capital letters only: 'LAB', 'lab'",
        "group with an id that is not given any more: 'a@b'",
        "files in 'lab' that differ in their Unicode form only: 'cafe\\u0301' by 'ann', 'caf\\xe9' by 'ann'",
        "file in 'lab' with a name that is not given any more: '\\u3164' by 'ann'",
    ]
    assert "these go on" in lines[-1]
    assert all(line.isascii() and line.isprintable() for line in lines)


async def test_names_from_before_that_hold_a_control_character_cannot_act_on_a_terminal(office: "Office") -> None:
    await make_older(office, [], ["\x1b[2J", "line\nbreak"])
    assert all(line.isascii() and line.isprintable() for line in await names_of(office))


def test_the_command_lists_what_a_database_of_an_earlier_version_has(tmp_path: Path) -> None:
    make_first_version(tmp_path)
    execute(tmp_path, "INSERT INTO accounts VALUES ('Ann', 'hash', 0)")
    lines = admin.run(["check-names", "--state", str(tmp_path)]).splitlines()
    assert lines[0] == "accounts that differ in capital letters only: 'Ann', 'ann'"


def test_the_command_needs_a_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database"):
        admin.run(["check-names", "--state", str(tmp_path)])


def test_the_command_takes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        admin.run(["check-names", "--state", str(tmp_path), "copy.db"])
    assert "unrecognized arguments" in capsys.readouterr().err

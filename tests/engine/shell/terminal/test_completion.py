import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from engine.client.client import Client
from engine.shell.terminal.completion import KnownNames, offers

if TYPE_CHECKING:
    from tests.engine.shell.conftest import Bench


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lo", ["login", "logout"]),
        ("list_files l", ["lab"]),
        ("list_files ", ["'a lab'", "lab"]),
        ("list_files 'a", ["'a lab'"]),
        ("download_file lab wi", ["'with space.bin'"]),
        ("download_file lab ev", []),
        ("accept_request lab ", ["carol"]),
        ("stop_share lab ", ["away.bin", "good.bin", "large.bin"]),
        ("requests ", ["list_requests"]),
        ("requests list_requests l", ["lab"]),
        ("help serv", ["serve"]),
        ("login al", []),
        ("list_groups x", []),
        ("nonsense x", []),
    ],
)
async def test_what_is_offered(bench: "Bench", typed: str, offered: list[str]) -> None:
    await bench.run("create_user alice pw", "login alice pw", "create_group lab", "create_group 'a lab'")
    names = KnownNames(cast(Client, bench.client))
    assert [offer.text for offer in await offers(typed, names)] == offered


async def test_an_offer_replaces_the_quote_that_was_begun() -> None:
    (offer,) = await offers("help 'serv", None)
    assert (offer.text, offer.replaced) == ("serve", len("'serv"))


async def test_paths_are_offered_as_they_have_to_be_typed(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data" / "x.bin").touch()
    (tmp_path / ".hidden").touch()
    assert [offer.text for offer in await offers(f"upload_file {tmp_path}/", None)] == [f"'{tmp_path}/my data/'"]
    (offer,) = await offers(f"upload_file '{tmp_path}/my data/'x", None)
    assert offer.text == f"'{tmp_path}/my data/x.bin'"
    assert await offers(f"upload_file {tmp_path}/nowhere/", None) == []


async def test_nothing_is_asked_while_logged_out_and_nothing_twice(bench: "Bench") -> None:
    names = KnownNames(cast(Client, bench.client))
    assert await names.groups() == []
    await bench.run("create_user alice pw", "login alice pw", "create_group lab")
    first, second = await asyncio.gather(names.groups(), names.groups())
    assert first == second == ["lab"]
    await bench.run("create_group new")
    assert await names.groups() == ["lab"], "fresh enough"
    names.close()

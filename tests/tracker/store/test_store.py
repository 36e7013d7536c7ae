import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Executable, func, select, text

from tracker.store import accounts, schema
from tracker.store.keyring import load_keyring
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import StoreError
from tracker.store.ticket_keys import find_trusted_keys


async def test_the_database_is_private(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "state")
    try:
        for path in (tmp_path / "state").iterdir():
            assert path.stat().st_mode & 0o077 == 0
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    finally:
        await store.close()


async def test_it_is_written_to_last(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    async with store.reading() as db:
        pragmas = [await db.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    await store.close()
    assert pragmas == ["wal", 2, 1]


async def test_trackers_that_start_together_agree_on_the_keys(tmp_path: Path) -> None:
    stores = await asyncio.gather(*(open_store(tmp_path) for _ in range(4)))
    authorities = await asyncio.gather(*(load_keyring(store, 1.8e9) for store in stores))
    assert len({authority.pem for authority in authorities}) == 1
    async with stores[0].reading() as db:
        assert len(await find_trusted_keys(db, 1.8e9)) == 1
    for store in stores:
        await store.close()


async def test_a_change_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = await open_store(tmp_path)

    async def fail_halfway() -> None:
        async with store.changing() as db:
            await accounts.add_account(db, "ann", "hash", 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_halfway()
    async with store.reading() as db:
        assert await db.scalar(select(func.count()).select_from(schema.accounts)) == 0
    await store.close()


async def test_changes_of_two_trackers_wait_for_each_other(tmp_path: Path) -> None:
    stores = [await open_store(tmp_path) for _ in range(2)]

    async def count_up(store_index: int) -> None:
        for _ in range(10):
            async with stores[store_index].changing() as db:
                value = await db.scalar(select(schema.counters.c.value))
                await db.execute(schema.counters.update().values(value=(value or 0) + 1))

    await asyncio.gather(*(count_up(index % 2) for index in range(4)))
    async with stores[0].reading() as db:
        assert await db.scalar(select(schema.counters.c.value)) == 40
    for store in stores:
        await store.close()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to look at " * 40, b"short"])
async def test_a_file_that_is_no_database_is_reported_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tracker.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"tracker\.db"):
        await open_store(tmp_path)
    assert path.read_bytes() == content


async def test_another_programs_database_is_reported_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        await open_store(tmp_path)
    assert path.read_bytes() == before


async def test_a_damaged_database_is_reported(tmp_path: Path) -> None:
    await (await open_store(tmp_path)).close()
    path = tmp_path / "tracker.db"
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)
    with pytest.raises(StoreError):
        await open_store(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        schema.meta.update().values(value=b"x"),
        schema.ticket_keys.update().values(key_pem=b"x"),
        schema.ticket_keys.delete(),
    ],
    ids=["authority", "ticket key", "no ticket key"],
)
async def test_damaged_keys_are_reported(tmp_path: Path, damage: Executable) -> None:
    store = await open_store(tmp_path)
    await load_keyring(store, 1.8e9)
    async with store.changing() as db:
        await db.execute(damage)
    with pytest.raises(StoreError, match="backup"):
        await load_keyring(store, 1.8e9)
    await store.close()

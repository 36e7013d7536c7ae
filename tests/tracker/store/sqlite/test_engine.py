import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select

from tracker.store import accounts, schema
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store


async def _count(store: Store) -> int:
    async with store.reading() as db:
        return len((await db.scalars(select(schema.accounts.c.user_id))).all())


async def _add(store: Store, user_id: str) -> None:
    async with store.changing() as db:
        await accounts.add_account(db, user_id, "hash", 0)


async def _until_waiting(change: "asyncio.Task[None]") -> None:
    """It cannot end while somebody else has the lock; after a few turns of the loop it has begun to wait."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not change.done()


async def test_who_waits_for_the_write_lock_holds_no_reader_up(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    other = sqlite3.connect(tmp_path / "tracker.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    change = asyncio.create_task(_add(store, "ann"))
    await _until_waiting(change)
    assert await _count(store) == 0
    assert not change.done()
    other.execute("COMMIT")
    await change
    assert await _count(store) == 1
    other.close()
    await store.close()


async def test_a_change_that_is_given_up_while_it_waits_leaves_nothing_locked(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    other = sqlite3.connect(tmp_path / "tracker.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    change = asyncio.create_task(_add(store, "ann"))
    await _until_waiting(change)
    change.cancel()
    other.execute("COMMIT")
    await asyncio.gather(change, return_exceptions=True)
    assert change.cancelled()
    other.execute("BEGIN IMMEDIATE")
    other.execute("COMMIT")
    await _add(store, "bob")
    assert await _count(store) == 1
    other.close()
    await store.close()


async def test_any_number_of_reads_may_be_under_way(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await _add(store, "ann")
    everyone_reads = asyncio.Barrier(50)

    async def look() -> int:
        async with store.reading() as db:
            await everyone_reads.wait()
            return len((await db.scalars(select(schema.accounts.c.user_id))).all())

    assert await asyncio.gather(*(look() for _ in range(50))) == [1] * 50
    await store.close()


async def test_every_commit_of_any_tracker_shows_in_the_version(tmp_path: Path) -> None:
    store, other = await open_store(tmp_path), await open_store(tmp_path)
    versions = [store.data_version()]
    for committing in (store, other, store):
        assert store.data_version() == versions[-1]
        await _add(committing, f"user{len(versions)}")
        versions.append(store.data_version())
    assert None not in versions
    assert len(set(versions)) == 4
    await _count(store)
    assert store.data_version() == versions[-1]
    await other.close()
    await store.close()


async def test_a_version_that_cannot_be_told_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await open_store(tmp_path)

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store._readers.sync_engine, "raw_connection", fail)
    assert store.data_version() is None
    await store.close()

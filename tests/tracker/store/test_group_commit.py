import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError

from tracker.store import accounts, schema
from tracker.store.group_commit import _CHANGES_MAX
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import SqlStore


class Refused(Exception):
    pass


class Place:
    """A store whose transactions are counted, and another process that can hold the lock."""

    def __init__(self, store: SqlStore, path: Path) -> None:
        self.store = store
        self.commits = 0
        self.other = sqlite3.connect(path, isolation_level=None)
        engine: Any = store._readers
        event.listen(engine.sync_engine, "commit", self._count)

    def _count(self, connection: object) -> None:
        self.commits += 1

    async def add(self, user_id: str, error: Exception | None = None) -> None:
        async with self.store.changing() as db:
            await accounts.add_account(db, user_id, "hash", 0)
            if error is not None:
                raise error

    async def users(self) -> list[str]:
        async with self.store.reading() as db:
            return list(await db.scalars(select(schema.accounts.c.user_id).order_by(schema.accounts.c.created_at_s)))

    async def together(self, *changes: Any) -> list[BaseException | None]:
        """All of them wait for the lock at once."""
        self.other.execute("BEGIN IMMEDIATE")
        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(change) for change in changes]
        for _ in range(5):
            await asyncio.sleep(0)
        self.commits = 0
        self.other.execute("COMMIT")
        return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store = await open_store(tmp_path)
    place = Place(store, tmp_path / "tracker.db")
    async with asyncio.timeout(20):
        yield place
    place.other.close()
    await store.close()


async def test_what_waits_for_its_turn_is_written_in_one_transaction(place: Place) -> None:
    names = [f"user{number:02}" for number in range(20)]
    assert await place.together(*(place.add(name) for name in names)) == [None] * 20
    assert place.commits == 1
    assert sorted(await place.users()) == names


async def test_a_transaction_is_not_put_off_for_ever(place: Place) -> None:
    await place.together(*(place.add(f"user{number}") for number in range(2 * _CHANGES_MAX)))
    assert place.commits == 2


async def test_each_sees_what_those_before_it_made(place: Place) -> None:
    seen: list[int] = []

    async def count_up() -> None:
        async with place.store.changing() as db:
            seen.append((await db.scalar(select(schema.counters.c.value))) or 0)
            await db.execute(schema.counters.update().values(value=seen[-1] + 1))

    await place.together(*(count_up() for _ in range(10)))
    assert seen == list(range(seen[0], seen[0] + 10))


async def test_one_that_raises_leaves_nothing_and_the_others_stay(place: Place) -> None:
    answers = await place.together(place.add("ann"), place.add("bob", Refused()), place.add("cy"))
    assert [type(answer) for answer in answers] == [type(None), Refused, type(None)]
    assert place.commits == 1
    assert sorted(await place.users()) == ["ann", "cy"]


async def test_none_is_answered_before_it_is_durable(place: Place) -> None:
    order: list[str] = []
    engine: Any = place.store._readers
    event.listen(engine.sync_engine, "commit", lambda connection: order.append("commit"))

    async def add(user_id: str, error: Exception | None = None) -> None:
        try:
            await place.add(user_id, error)
        finally:
            order.append(user_id)

    await place.together(add("ann"), add("bob", Refused()), add("cy"))
    assert order == ["commit", "ann", "bob", "cy"]


async def test_when_the_database_fails_all_of_its_transaction_is_undone_and_said(place: Place) -> None:
    async def break_down() -> None:
        async with place.store.changing() as db:
            await db.execute(text("SELECT * FROM no_such_table"))

    answers = await place.together(place.add("ann"), break_down(), place.add("cy"))
    assert [type(answer) for answer in answers] == [OperationalError, OperationalError, type(None)]
    assert await place.users() == ["cy"]


async def test_a_commit_that_fails_fails_them_all_and_the_next_is_made(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = place.store._readers
    disk = sqlite3.OperationalError("disk I/O error")

    def fail(connection: object) -> None:
        raise OperationalError("COMMIT", None, disk)

    event.listen(engine.sync_engine, "commit", fail)
    answers = await place.together(place.add("ann"), place.add("bob", Refused()))
    assert [type(answer) for answer in answers] == [OperationalError, OperationalError]
    event.remove(engine.sync_engine, "commit", fail)
    await place.add("cy")
    assert await place.users() == ["cy"]


async def test_one_that_is_given_up_while_it_waits_is_left_out(place: Place) -> None:
    place.other.execute("BEGIN IMMEDIATE")
    tasks = [asyncio.create_task(place.add(name)) for name in ("ann", "bob", "cy")]
    for _ in range(5):
        await asyncio.sleep(0)
    tasks[1].cancel()
    place.other.execute("COMMIT")
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert sorted(await place.users()) == ["ann", "cy"]


async def test_one_that_is_given_up_in_its_turn_leaves_nothing(place: Place) -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        async with place.store.changing() as db:
            await accounts.add_account(db, "ann", "hash", 0)
            begun.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await begun.wait()
    next_one = asyncio.create_task(place.add("bob"))
    await asyncio.sleep(0)
    hanging.cancel()
    await next_one
    assert hanging.cancelled()
    assert await place.users() == ["bob"]


async def test_a_lock_that_is_never_let_go_is_said_to_all_that_wait(place: Place, tmp_path: Path) -> None:
    engine: Any = place.store._readers
    with engine.sync_engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")  # kept in the pool: the next one to be used
    place.other.execute("BEGIN IMMEDIATE")
    answers = await asyncio.gather(place.add("ann"), place.add("bob"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OperationalError, OperationalError]
    place.other.execute("COMMIT")
    await place.add("cy")
    assert await place.users() == ["cy"]

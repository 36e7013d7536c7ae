"""The database: opening it, and the two ways of using it, `reading()` and `changing()`.

Invariants. What `changing()` committed survives `kill -9` and a power cut (WAL, synchronous=FULL). Changes are one
after the other, across all trackers that share the database: each takes the write lock before it reads, so what a
permission was decided on is still true when the change is made. A file that is not a tracker's database is reported
and never written to.

Not here: the queries (people, catalogue, outcomes) and what they are for (service).
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tracker import schema

BUSY_TIMEOUT_MS = 10_000


class StoreError(Exception):
    """The database cannot be used; the sentence says which one and why."""


class Store:
    def __init__(self, engine: AsyncEngine) -> None:
        self._readers = engine
        self._writers = engine.execution_options(takes_write_lock=True)
        # SQLite makes writers poll for its lock; within one process waiting in line is fair and wakes at once.
        self._line = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view of the whole database."""
        async with self._readers.connect() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """A change: committed when the block ends, undone when it raises."""
        async with self._line, self._writers.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self._readers.dispose()


async def open_store(state_dir: Path) -> Store:
    """The SQLite store in `state_dir`, made if there is none. Raises StoreError."""
    path = state_dir / "tracker.db"
    try:
        async with _one_at_a_time(state_dir):
            _prepare_file(path)
            return await open_store_url(f"sqlite+aiosqlite:///{path}")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the database {path} cannot be opened: {error}") from error


async def open_store_url(url: str) -> Store:
    """The store behind any SQLAlchemy URL of an async driver. Raises StoreError."""
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        _follow_sqlite_recipe(engine)
    store = Store(engine)
    try:
        async with store.changing() as connection:
            await connection.run_sync(_make_or_check_tables)
    except SQLAlchemyError as error:
        await store.close()
        reason = getattr(error, "orig", None) or error
        raise StoreError(f"the database {engine.url.render_as_string()} cannot be used: {reason}") from error
    except StoreError:
        await store.close()
        raise
    return store


def _make_or_check_tables(connection: Connection) -> None:
    if not inspect(connection).get_table_names():
        schema.metadata.create_all(connection)
        connection.execute(schema.meta.insert().values(key="schema", value=schema.SCHEMA))
        connection.execute(schema.counters.insert().values(name="epoch", value=0))
        return
    found = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "schema"))
    if found != schema.SCHEMA:
        raise StoreError(f"the database was written by another version: {found!r}, this is {schema.SCHEMA!r}")


def _follow_sqlite_recipe(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # Python's sqlite3 would open transactions by itself, and too late; see `begin`.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later gets SQLITE_BUSY at once, whatever busy_timeout says.
        takes_lock = connection.get_execution_options().get("takes_write_lock", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if takes_lock else "BEGIN")


@asynccontextmanager
async def _one_at_a_time(state_dir: Path) -> AsyncIterator[None]:
    """Two trackers that start together: the switch to WAL does not wait for a lock, so the starts do."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(state_dir, os.O_RDONLY)
    try:
        await asyncio.to_thread(fcntl.flock, folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _prepare_file(path: Path) -> None:
    """Makes the file private before anything secret is in it, and looks before anything is written."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not set(schema.metadata.tables) <= tables:
            raise StoreError(f"{path} is a database of another program; it was left as it is")
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is damaged or no tracker's database: {error}; it was left as it is") from error
    finally:
        connection.close()

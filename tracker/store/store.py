"""The database: opening it, and the two ways of using it, `reading()` and `changing()`.

Invariants. What `changing()` committed survives `kill -9` and a power cut (WAL, synchronous=FULL). Changes are one
after the other, across all trackers that share the database: the write lock is taken before anything is read, so what a
permission was decided on is still true when the change is made. Those of one tracker that wait for each other share a
transaction (group_commit). A file that is not a tracker's database is reported and never written to.

Not here: the queries (people, catalogue, outcomes) and what they are for (service).
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tracker.store.database_file import DATABASE_NAME, StoreError, check_database, copy_database, use_folder
from tracker.store.engines import SqliteEngine
from tracker.store.group_commit import GroupCommit
from tracker.store.migrations.migrate import WrongVersion, bring_up_to_date

__all__ = ["Store", "StoreError", "open_store", "open_store_url"]

BUSY_TIMEOUT_MS = 10_000


class Store:
    def __init__(self, engine: AsyncEngine) -> None:
        self._readers = engine
        self._writers = engine.execution_options(takes_write_lock=True)
        # SQLite makes writers poll for its lock; within one process waiting in line is fair and wakes at once.
        self._changes = GroupCommit(self._writers)
        self.use_lock: int | None = None
        """Keeps the file from being replaced; see database_file."""

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view of the whole database."""
        async with self._readers.connect() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """A change: committed when the block ends, undone when it raises. Nothing but the database is awaited in it."""
        async with self._changes.change() as connection:
            yield connection

    @asynccontextmanager
    async def changing_alone(self) -> AsyncIterator[AsyncConnection]:
        """The same in a transaction of its own, for what changes the tables themselves. Before any other use."""
        async with self._writers.begin() as connection:
            yield connection

    def data_version(self) -> int | None:
        """Another number after every commit, whoever made it; None where only a look at the tables tells."""
        return self._readers.data_version() if isinstance(self._readers, SqliteEngine) else None

    async def close(self) -> None:
        await self._changes.close()
        await self._readers.dispose()
        if self.use_lock is not None:
            os.close(self.use_lock)
            self.use_lock = None


async def open_store(state_dir: Path) -> Store:
    """The SQLite store in `state_dir`, made if there is none. Raises StoreError."""
    path = state_dir / DATABASE_NAME
    try:
        async with _one_at_a_time(state_dir):
            lock = use_folder(state_dir)
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # private before anything secret is in it
                check_database(path)
                store = await open_store_url(f"sqlite:///{path}")
            except BaseException:
                os.close(lock)
                raise
            store.use_lock = lock
            return store
    except (FileExistsError, NotADirectoryError):
        raise StoreError(f"{state_dir} is no folder, or lies in a file; choose another with --state") from None
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"the database {path} cannot be opened: {reason}") from error


async def open_store_url(url: str) -> Store:
    """The store behind any SQLAlchemy URL of an async driver. Raises StoreError."""
    engine = _engine_of(url)
    if engine.dialect.name == "sqlite":
        _follow_sqlite_recipe(engine)
    store = Store(engine)
    try:
        async with store.changing_alone() as connection:
            await connection.run_sync(bring_up_to_date, lambda name: _keep_copy(engine, name))
    except (SQLAlchemyError, sqlite3.Error) as error:
        await store.close()
        reason = getattr(error, "orig", None) or error
        raise StoreError(f"the database {engine.url.render_as_string()} cannot be used: {reason}") from error
    except (WrongVersion, StoreError) as error:
        await store.close()
        raise StoreError(str(error)) from error
    return store


def _keep_copy(engine: AsyncEngine, name: str) -> None:
    """The committed state, beside the database. Whoever calls holds the write lock, so that it is also the last."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        path = Path(engine.url.database)
        copy_database(path, path.with_name(f"{path.name}.{name}"))


def _engine_of(url: str) -> AsyncEngine:
    """SQLite's has those of the methods that are used."""
    return cast(AsyncEngine, SqliteEngine.open(url)) if url.startswith("sqlite:") else create_async_engine(url)


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

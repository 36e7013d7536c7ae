"""Opens the store in a folder: the database file is checked, locked against being replaced, and brought up to date.

Invariants. What a change committed survives a power cut (WAL, synchronous=FULL). A transaction of a change takes the
write lock when it begins. A file that is not a tracker's database is reported and never written to.

Not here: the file as a file (database_file), the steps from one schema to the next (migrations).
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
from sqlalchemy.ext.asyncio import AsyncEngine

from tracker.store.migrations.migrate import WrongVersion, bring_up_to_date
from tracker.store.sqlite.database_file import DATABASE_NAME, check_database, copy_database, use_folder
from tracker.store.sqlite.engine import SqliteEngine
from tracker.store.store import SqlStore, StoreError

BUSY_TIMEOUT_MS = 10_000


class SqliteStore(SqlStore):
    """`use_lock` keeps the file from being replaced while the store is open (database_file)."""

    def __init__(self, engine: SqliteEngine, use_lock: int) -> None:
        super().__init__(cast(AsyncEngine, engine), engine.data_version)  # it has those of the methods that are used
        self._use_lock = use_lock

    async def close(self) -> None:
        await super().close()
        os.close(self._use_lock)


async def open_store(state_dir: Path) -> SqliteStore:
    """The store in `state_dir`, which is made if there is none. Raises StoreError."""
    path = state_dir / DATABASE_NAME
    try:
        async with _one_at_a_time(state_dir):
            lock = use_folder(state_dir)
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # private before anything secret is in it
                check_database(path)
            except BaseException:
                os.close(lock)
                raise
            engine = SqliteEngine.open(f"sqlite:///{path}")
            _set_up_connections(engine)
            store = SqliteStore(engine, lock)
            try:
                await _migrate(store, path)
            except BaseException:
                await store.close()
                raise
            return store
    except (FileExistsError, NotADirectoryError):
        raise StoreError(f"{state_dir} is no folder, or lies in a file; choose another with --state") from None
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"the database {path} cannot be opened: {reason}") from error


async def _migrate(store: SqliteStore, path: Path) -> None:
    try:
        async with store.changing_alone() as connection:
            await connection.run_sync(bring_up_to_date, lambda name: _keep_copy(path, name))
    except (SQLAlchemyError, sqlite3.Error) as error:
        reason = getattr(error, "orig", None) or error
        raise StoreError(f"the database {path} cannot be used: {reason}") from error
    except WrongVersion as error:
        raise StoreError(str(error)) from error


def _keep_copy(path: Path, name: str) -> None:
    """Keeps the committed state beside the database. It is the latest, since the caller holds the write lock."""
    copy_database(path, path.with_name(f"{path.name}.{name}"))


def _set_up_connections(engine: SqliteEngine) -> None:
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
    """For trackers that start together: switching to WAL does not wait for a lock, so the starts have to."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(state_dir, os.O_RDONLY)
    try:
        await asyncio.to_thread(fcntl.flock, folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)

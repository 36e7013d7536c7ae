"""SQLite without a thread between question and answer, behind the few methods of an AsyncEngine that are used here.

A statement of the tracker reads or writes a few rows of a local file, which takes tens of microseconds. Drivers that
pass each statement to another thread and back spend many times that on the way. So statements run on the event loop.
Only what may take long runs in a thread: waiting for the write lock, and the sync of a commit.

Invariants. A read never waits: writers do not block it (WAL), and there are as many connections as are asked for. The
thread has a connection to itself while it works on it, even if the task that waits for it is cancelled.

Not for: databases that answer over a network.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    PoolProxiedConnection,
    ScalarResult,
    create_engine,
)
from sqlalchemy.exc import SQLAlchemyError

Answer = TypeVar("Answer")


class SqliteConnection:
    """One connection, with the methods of an AsyncConnection."""

    def __init__(self, connection: Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    async def execute(self, statement: Any, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Any, parameters: Any = None) -> Any:
        return self._connection.scalar(statement, parameters)

    async def scalars(self, statement: Any, parameters: Any = None) -> ScalarResult[Any]:
        return self._connection.scalars(statement, parameters)

    async def run_sync(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        return work(self._connection, *arguments)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[None]:
        """A transaction. With the option `takes_write_lock` it may wait for others, and is durable when it ends."""
        if not self._connection.get_execution_options().get("takes_write_lock"):
            with self._connection.begin():
                yield
            return
        transaction = await self._in_thread(self._connection.begin)
        try:
            yield
        except BaseException:
            transaction.rollback()
            raise
        try:
            await self._in_thread(transaction.commit)
        except Exception:
            transaction.rollback()  # or the connection would keep the write lock in the pool
            raise

    @asynccontextmanager
    async def begin_nested(self) -> AsyncIterator[None]:
        """A savepoint of the transaction."""
        with self._connection.begin_nested():
            yield

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        """Waits until the work is done, even when it is cancelled."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


class SqliteEngine:
    """One database, with the methods of an AsyncEngine."""

    def __init__(self, sync_engine: Engine, thread: ThreadPoolExecutor) -> None:
        self.sync_engine = sync_engine
        self._thread = thread
        self._watching: PoolProxiedConnection | None = None

    @classmethod
    def open(cls, url: str) -> "SqliteEngine":
        engine = create_engine(url, connect_args={"check_same_thread": False}, max_overflow=-1)
        return cls(engine, ThreadPoolExecutor(1, "sqlite"))

    @property
    def dialect(self) -> Dialect:
        return self.sync_engine.dialect

    @property
    def url(self) -> URL:
        return self.sync_engine.url

    def data_version(self) -> int | None:
        """Another number after every commit; None if that cannot be told. The driver itself is asked, on a connection
        kept for it, which takes some microseconds.
        """
        try:
            if self._watching is None:
                self._watching = self.sync_engine.raw_connection()
            driver: Any = self._watching.driver_connection
            version: int = driver.execute("PRAGMA data_version").fetchone()[0]
        except (sqlite3.Error, SQLAlchemyError):
            return None
        return version

    def execution_options(self, **options: Any) -> "SqliteEngine":
        return SqliteEngine(self.sync_engine.execution_options(**options), self._thread)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[SqliteConnection]:
        with self.sync_engine.connect() as connection:
            yield SqliteConnection(connection, self._thread)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqliteConnection]:
        async with self.connect() as connection, connection.begin():
            yield connection

    async def dispose(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        if self._watching is not None:
            self._watching.close()
        self.sync_engine.dispose()

"""The store as the rest of the tracker uses it: `reading()` and `changing()`, each giving one transaction.

The functions of this room (accounts, groups, files, …) are questions and changes inside such a transaction. Which
database is behind it is decided where it is opened (store.sqlite); a test may put another Store before it.

Invariants. A change that is committed survives `kill -9` and a power cut. Changes happen one after the other, across
all trackers that share the database: the write lock is taken before anything is read, so what a permission was decided
on is still true when the change is made.

Not here: opening a database, the queries, and what they are for (service).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracker.store.group_commit import GroupCommit


class StoreError(Exception):
    """The database cannot be used; the sentence says which one and why."""


class Store(Protocol):
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One consistent view of the whole database."""

    def changing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A change: committed when the block ends, undone when it raises. Nothing but the database is awaited in it."""

    def data_version(self) -> int | None:
        """Another number after every commit, of any tracker; None where only a look at the tables can tell."""

    async def close(self) -> None:
        """Waits for changes that are under way. The store cannot be used afterwards."""


class SqlStore:
    """A Store behind a SQLAlchemy engine."""

    def __init__(self, engine: AsyncEngine, data_version: Callable[[], int | None]) -> None:
        self._readers = engine
        self._writers = engine.execution_options(takes_write_lock=True)
        # SQLite makes writers poll for its lock; within one process waiting in line is fair and wakes at once.
        self._changes = GroupCommit(self._writers)
        self.data_version = data_version

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._readers.connect() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        async with self._changes.change() as connection:
            yield connection

    @asynccontextmanager
    async def changing_alone(self) -> AsyncIterator[AsyncConnection]:
        """Like `changing`, in a transaction of its own: for migrations, before any other use."""
        async with self._writers.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self._changes.close()
        await self._readers.dispose()

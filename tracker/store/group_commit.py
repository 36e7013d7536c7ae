"""Changes run one after the other, and those that wait share one transaction, so that the disk is waited for once.

A commit waits for the disk much longer than a change takes. So changes that come while a transaction is begun or
committed run together in the next one, each within a savepoint.

Invariants. A change sees all that were made before it, and is durable when its block ends. A change that raises leaves
nothing behind and delays no other; its error is raised only when what it was decided on is durable. When the database
itself fails, the whole transaction is undone, and every change in it fails.

Not here: what is changed, and the database's lock between processes (store).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_CHANGES_MAX = 64
"""In one transaction, so that no answer waits for very many others."""


class _Change:
    """`turn` is done with the connection when the change may begin, `over` with its error or None when it has ended,
    `committed` when it is durable.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[AsyncConnection] = loop.create_future()
        self.over: asyncio.Future[BaseException | None] = loop.create_future()
        self.committed: asyncio.Future[None] = loop.create_future()

    def fail(self, error: Exception) -> None:
        for future in (self.turn, self.committed):
            if not future.done():
                future.set_exception(error)
                future.exception()  # read once, since the task that waited for it may have been cancelled


class GroupCommit:
    def __init__(self, engine: AsyncEngine) -> None:
        """Of connections whose transactions take the write lock when they begin."""
        self._engine = engine
        self._waiting: deque[_Change] = deque()
        self._conductor: asyncio.Task[None] | None = None
        self._present: asyncio.Future[None] | None = None
        """Done when the transaction that is under way is over."""

    @asynccontextmanager
    async def change(self) -> AsyncIterator[AsyncConnection]:
        change = _Change()
        self._waiting.append(change)
        if self._conductor is None or self._conductor.done():
            self._present = asyncio.get_running_loop().create_future()
            self._conductor = asyncio.create_task(self._conduct())
        try:
            connection = await change.turn
        except asyncio.CancelledError as error:
            change.over.set_result(error)
            if self._present is not None:
                await asyncio.wait([self._present])  # the thread that waits for the lock may do so for this one
            raise
        try:
            async with connection.begin_nested():
                yield connection
        except BaseException as error:
            change.over.set_result(error)
            if not isinstance(error, asyncio.CancelledError):
                await asyncio.shield(change.committed)
            raise
        change.over.set_result(None)
        await asyncio.shield(change.committed)

    async def close(self) -> None:
        if self._conductor is not None:
            await asyncio.wait([self._conductor])

    async def _conduct(self) -> None:
        while self._waiting:
            group: list[_Change] = []
            try:
                async with self._engine.begin() as connection:
                    await self._give_turns(connection, group)
            except Exception as error:
                for change in group or self._take_all():
                    change.fail(error)
            for change in group:
                if not change.committed.done():
                    change.committed.set_result(None)
            if self._present is not None:
                self._present.set_result(None)
            self._present = asyncio.get_running_loop().create_future() if self._waiting else None

    async def _give_turns(self, connection: AsyncConnection, group: list[_Change]) -> None:
        while self._waiting and len(group) < _CHANGES_MAX:
            change = self._waiting.popleft()
            if change.turn.cancelled():
                continue
            group.append(change)
            change.turn.set_result(connection)
            error = await change.over
            if isinstance(error, SQLAlchemyError):
                raise error  # Some failures of SQLite end the transaction: nothing more may be done in this one.

    def _take_all(self) -> list[_Change]:
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

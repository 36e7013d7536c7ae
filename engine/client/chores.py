"""Work that the client begins by itself and that no command waits for, such as announcing a file that moved.

Invariants: the subscribers hear of an expected failure of such work, and the event loop reports any other. When `close`
returns, no such work is running.
Not for: work that has a result, or an owner that ends it (downloads, shares).
"""

from collections.abc import Callable, Coroutine

from engine.client.events import Event, WorkFailed
from engine.errors import ShoalError
from engine.process.background_tasks import BackgroundTasks


class Chores:
    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._tasks = BackgroundTasks()

    def soon(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.start(self._do(work))

    async def close(self) -> None:
        await self._tasks.cancel_all()

    async def _do(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except ShoalError as error:
            self._tell(WorkFailed(error))

"""Tasks that run beside the caller, which does not wait for them.

An event loop refers to its tasks weakly, so a task that nobody holds may disappear before it is done.

Invariant: a task is held from its start to its end.
Not for: work whose result or failure somebody must hear of; its owner awaits it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class BackgroundTasks:
    """The tasks of one owner that are not done yet."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def cancel_all(self) -> None:
        """Returns when all have ended, however."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

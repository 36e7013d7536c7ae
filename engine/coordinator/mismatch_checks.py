"""How often this client reads a piece again because a fetcher says that it was sent a wrong one.

The fetcher may be right, may have a bad line, or may lie to keep this client busy. A check reads one piece, which costs
about as much as sending it. So checks are few: a piece is checked once a minute at most, checks run one after the
other, and few wait.

Invariant: what waits and what is remembered is bounded, in all and by account.
Not here: the check itself, and what follows from it (fetching, engine.client.sharing).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from engine.process.background_tasks import BackgroundTasks

PIECE_ONCE_IN_S = 60.0
WAITING_MAX = 32
WAITING_PER_ACCOUNT_MAX = 4
LOOKS_REMEMBERED_MAX = 1024
"""All of the last minute: when there are more, nothing more is looked at before some are older."""


class MismatchChecks:
    """`look(file_id, piece)` reads the piece and draws the consequences; it does not fail."""

    def __init__(self, look: Callable[[int, int], Awaitable[None]]) -> None:
        self._look = look
        self._looked_at_s: dict[tuple[int, int], float] = {}  # oldest first
        self._waiting: Counter[str] = Counter()
        self._one_at_a_time = asyncio.Lock()
        self._tasks = BackgroundTasks()

    def heard(self, file_id: int, piece: int, user_id: str) -> bool:
        """Whether it will be looked at."""
        if not self._admits(file_id, piece, user_id, time.monotonic()):
            return False
        self._waiting[user_id] += 1
        self._tasks.start(self._look_at(file_id, piece, user_id))
        return True

    def _admits(self, file_id: int, piece: int, user_id: str, now_s: float) -> bool:
        for key in list(self._looked_at_s):
            if now_s - self._looked_at_s[key] < PIECE_ONCE_IN_S:
                break
            del self._looked_at_s[key]
        if (file_id, piece) in self._looked_at_s or len(self._looked_at_s) >= LOOKS_REMEMBERED_MAX:
            return False
        if self._waiting.total() >= WAITING_MAX or self._waiting[user_id] >= WAITING_PER_ACCOUNT_MAX:
            return False
        self._looked_at_s[file_id, piece] = now_s
        return True

    async def _look_at(self, file_id: int, piece: int, user_id: str) -> None:
        try:
            async with self._one_at_a_time:
                await self._look(file_id, piece)
        finally:
            self._waiting[user_id] -= 1
            if not self._waiting[user_id]:
                del self._waiting[user_id]

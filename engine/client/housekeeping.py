"""What a client does once a second while it runs: it syncs the ledger and looks at the shared files.

A file that is being sent is compared with its marks around every slice (worker.local_file). A file that nobody fetches
is looked at here only, so that the group's list does not promise a file that is gone. A file that was away is found
again here too. With more than a hundred shares the looks are rarer.
"""

import asyncio
import time
from collections.abc import Callable

from engine.client.events import Event, WorkFailed
from engine.client.sharing.shares import Shares
from engine.errors import ShoalError
from engine.storage.ledger import Ledger

_EVERY_S = 1.0
_LOOK_S_PER_SHARE, _LOOK_S_MAX = 0.01, 60.0
"""With more than a hundred shares more seldom: a look at one takes 8 µs, which is then 0.1 % of a core."""


def pause_s(share_count: int) -> float:
    """Between two looks at the shared files."""
    return min(share_count * _LOOK_S_PER_SHARE, _LOOK_S_MAX)


class Housekeeping:
    """`run` is to be a task."""

    def __init__(self, ledger: Ledger, shares: Shares, tell: Callable[[Event], None]) -> None:
        self._ledger, self._shares, self._tell = ledger, shares, tell
        self._failure = ""

    async def run(self) -> None:
        """Until cancelled."""
        look_at_s = 0.0
        while True:
            await self._sync()
            if time.monotonic() >= look_at_s:
                await self._shares.look()
                look_at_s = time.monotonic() + pause_s(len(self._shares))
            await asyncio.sleep(_EVERY_S)

    async def _sync(self) -> None:
        """A failure is told once, not every second. If nothing was written, no thread is woken."""
        if not self._ledger.needs_sync:
            return
        try:
            await asyncio.to_thread(self._ledger.sync)
        except ShoalError as error:
            if str(error) != self._failure:
                self._tell(WorkFailed(error))
            self._failure = str(error)
        else:
            self._failure = ""

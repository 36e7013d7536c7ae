"""What a client does every second while it runs: the ledger is made durable, shared files are looked at.

A file that is being served is compared with its marks around every slice (transfer.open_file). One that nobody asks
for, or whose name was taken away, is noticed here, so that the group's list does not promise what is not there; and one
that was away is found again.
"""

import asyncio
import time

from engine.errors import ShoalError
from engine.shares import Shares
from engine.storage.ledger import Ledger
from engine.switchboard import Switchboard

_LOOK_S = 1.0
_SHARE_OF_TIME = 0.02
"""Of one core, for looking at files: with very many of them, more seldom."""


class Upkeep:
    """`run` is to be a task."""

    def __init__(self, ledger: Ledger, shares: Shares, board: Switchboard) -> None:
        self._ledger, self._shares, self._board = ledger, shares, board
        self._failure = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            begun_s = time.thread_time()
            await self._sync()
            await self._shares.look()
            spent_s = time.thread_time() - begun_s
            await asyncio.sleep(max(_LOOK_S, spent_s / _SHARE_OF_TIME))

    async def _sync(self) -> None:
        """A failure is said once, not every second. Where nothing was written, no thread is woken."""
        if not self._ledger.needs_sync:
            return
        try:
            await asyncio.to_thread(self._ledger.sync)
        except ShoalError as error:
            if str(error) != self._failure:
                self._board.notice(error.code, str(error))
            self._failure = str(error)
        else:
            self._failure = ""

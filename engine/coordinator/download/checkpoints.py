"""Keeps a download's journal up to date: data synced first, then the journal, off the event loop.

Invariant (I3): the pieces a journal names were in the have-bitfield before the sync began, so their data is durable.
After a sync that failed nothing is saved any more: the system may have dropped what it could not write, and reports a
lost page only once (fsync(2)).
Not here: when an attempt begins and ends (download_run), the format of the journal (storage.journal).
"""

import asyncio
import os

from engine.settings import Settings
from engine.storage.journal import Journal, Mark
from engine.storage.write_back import WriteBehind
from engine.swarm.bitfield import Flags


class Checkpoints:
    """The journal of one part file. `have` is the live bitfield."""

    def __init__(self, journal: Journal, descriptor: int, have: Flags, settings: Settings) -> None:
        self._journal = journal
        self._descriptor = descriptor
        self._have = have
        self._settings = settings
        self._failure: OSError | None = None
        self._unsaved_bytes = 0
        self._filled: list[tuple[int, int]] = []
        self._filled_bytes = 0
        self._write_behind: WriteBehind | None = None  # not for a small file
        self._saved_at_s = 0.0
        self._writing_back: asyncio.Future[None] | None = None
        self._saving = asyncio.Lock()

    def grew(self, offset: int, length: int) -> None:
        """A piece was verified: these bytes of the file."""
        self._unsaved_bytes += length
        self._filled.append((offset, length))
        self._filled_bytes += length
        is_writing = self._writing_back is not None and not self._writing_back.done()
        if self._filled_bytes >= self._settings.write_back_bytes and not is_writing:
            if self._write_behind is None:
                self._write_behind = WriteBehind(self._descriptor, self._settings.write_behind_bytes)
            filled, self._filled, self._filled_bytes = self._filled, [], 0
            loop = asyncio.get_running_loop()
            self._writing_back = loop.run_in_executor(None, self._write_behind.advance, filled)

    def is_due(self, now_s: float) -> bool:
        if not self._unsaved_bytes or self._saving.locked():
            return False
        settings = self._settings
        waited_s = now_s - self._saved_at_s
        return waited_s >= settings.checkpoint_interval_s or self._unsaved_bytes >= settings.checkpoint_bytes

    async def save(self, now_s: float, *, is_clean: bool = False) -> None:
        """Durable when it returns. Raises OSError. `is_clean`: the last one of an orderly stop."""
        async with self._saving:
            self._unsaved_bytes, self._saved_at_s = 0, now_s
            await asyncio.to_thread(self._sync_and_save, self._have.copy(), is_clean)

    def close(self) -> None:
        """No more pieces come. Does not wait."""
        if self._write_behind is not None:
            asyncio.get_running_loop().run_in_executor(None, self._write_behind.close)

    def _sync_and_save(self, have: Flags, is_clean: bool) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._failure = error
            raise
        self._journal.save(have, Mark.of(os.fstat(self._descriptor)), is_clean=is_clean)

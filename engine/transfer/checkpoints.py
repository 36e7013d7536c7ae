"""Keeps a download's journal up to date: data synced first, then the journal, off the event loop.

Invariant (I3): the pieces a journal names were in the have-bitfield before the sync began, so their data is durable.
"""

import asyncio
import os
from pathlib import Path

from engine.settings import Settings
from engine.storage import journal
from engine.storage.write_back import start_write_back
from engine.swarm.bitfield import Flags
from engine.swarm.geometry import Geometry


class Checkpoints:
    """The journal of one part file. `have` is the live bitfield."""

    def __init__(self, path: Path, descriptor: int, root: bytes, geometry: Geometry, have: Flags, settings: Settings):
        self._path = path
        self._descriptor = descriptor
        self._root, self._geometry, self._have = root, geometry, have
        self._settings = settings
        self._unsaved_bytes = 0
        self._unwritten_bytes = 0
        self._saved_at_s = 0.0
        self._writing_back: asyncio.Future[None] | None = None
        self._saving = asyncio.Lock()

    def grew(self, size_bytes: int) -> None:
        """A piece was verified."""
        self._unsaved_bytes += size_bytes
        self._unwritten_bytes += size_bytes
        is_writing = self._writing_back is not None and not self._writing_back.done()
        if self._unwritten_bytes >= self._settings.write_back_bytes and not is_writing:
            self._unwritten_bytes = 0
            loop = asyncio.get_running_loop()
            self._writing_back = loop.run_in_executor(None, start_write_back, self._descriptor)

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

    def _sync_and_save(self, have: Flags, is_clean: bool) -> None:
        os.fdatasync(self._descriptor)
        journal.save(self._path, self._root, self._geometry, have, is_clean=is_clean)

"""Begun downloads that do not run now: why, what is kept of them, and which of them are tried again by themselves.

Three kinds, by what would mend them. "paused": waiting may (no tracker answers, the disk is full), so it is tried
again. "failed": the account is not a member; it goes on once it is let in again. "stuck": its place on this disk is not
what it was, or the group has the file no more; a disk that comes back is noticed, everything else is up to the user.

Invariant: each download that the ledger knows of the account is either under way (downloads) or here, so a command
shows it and ends it.
Not for: what makes a download go on, and what is removed when it ends (downloads).
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from engine.client.events import DownloadResumed, DownloadStuck, Event
from engine.client.spellings import Key
from engine.errors import ShoalError
from engine.reports import DownloadState, DownloadStatus
from engine.storage import file_names
from engine.storage.journal import Journal
from engine.storage.ledger import StartedDownload

NOT_MEMBER = "not_member"
_AWAY = frozenset({"no_folder", "part_gone"})
"""Codes of what a disk that is mounted again mends."""
_UP_TO_THE_USER = frozenset(
    {"target_exists", "downloading", "already_here", "bad_manifest", "other_content", "no_such_file", "no_such_group"}
)
_TRY_AGAIN_S, _TRY_AGAIN_MAX_S = 5.0, 60.0


@dataclass(slots=True)
class _Held:
    begun: StartedDownload
    error: ShoalError
    verified_bytes: int
    attempt: asyncio.Task[None] | None = None


class HeldDownloads:
    """By (group, name). `resume` raises ShoalError if the download does not go on."""

    def __init__(
        self, resume: Callable[[StartedDownload], Awaitable[None]], tell: Callable[[Event], None]
    ) -> None:
        self._resume, self._tell = resume, tell
        self._held: dict[Key, _Held] = {}

    def keep(self, begun: StartedDownload, error: ShoalError) -> None:
        """It does not run, because of that."""
        self.drop(begun.key)
        held = self._held[begun.key] = _Held(begun, error, _verified_bytes(begun))
        if error.code != NOT_MEMBER and error.code not in _UP_TO_THE_USER:
            held.attempt = asyncio.create_task(self._try_again(held))

    def find(self, key: Key) -> StartedDownload | None:
        held = self._held.get(key)
        return held.begun if held else None

    def roots(self) -> dict[Key, bytes]:
        """Which content each name leads to."""
        return {key: held.begun.root for key, held in self._held.items()}

    def drop(self, key: Key) -> None:
        """It runs, or is over."""
        held = self._held.pop(key, None)
        if held is not None and held.attempt is not None and held.attempt is not asyncio.current_task():
            held.attempt.cancel()

    def is_shut_out(self, key: Key) -> bool:
        """Whether it waits for the account to be a member again."""
        held = self._held.get(key)
        return held is not None and held.error.code == NOT_MEMBER

    def status(self, key: Key) -> DownloadStatus | None:
        held = self._held.get(key)
        return _status(held) if held else None

    def statuses(self) -> list[DownloadStatus]:
        return [_status(held) for held in self._held.values()]

    async def clear(self) -> None:
        """The ledger keeps them for the next login."""
        attempts = [held.attempt for held in self._held.values() if held.attempt is not None]
        self._held.clear()
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)

    async def _try_again(self, held: _Held) -> None:
        """Until it goes on, or is held for another reason; never in step with other clients."""
        delay_s, name = _TRY_AGAIN_S, held.begun.name
        while True:
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))
            delay_s = min(2 * delay_s, _TRY_AGAIN_MAX_S)
            try:
                await self._resume(held.begun)
            except ShoalError as error:
                if state_for(error) != state_for(held.error) or error.code in _UP_TO_THE_USER:
                    self._tell(DownloadStuck(name, str(error)))
                    return self.keep(held.begun, error)
                held.error = error
            else:
                return self._tell(DownloadResumed(name))


def state_for(error: ShoalError) -> DownloadState:
    """What a download is that does not run because of this."""
    if error.code == NOT_MEMBER:
        return "failed"
    return "stuck" if error.code in _AWAY or error.code in _UP_TO_THE_USER else "paused"


def _status(held: _Held) -> DownloadStatus:
    begun, error = held.begun, held.error
    return DownloadStatus(
        begun.group_id, begun.name, begun.target, state_for(error), begun.geometry.size_bytes, held.verified_bytes,
        0.0, 0, {}, 0.0, error=str(error), error_code=error.code, reused_bytes=held.verified_bytes,
    )  # fmt: skip


def _verified_bytes(begun: StartedDownload) -> int:
    """What its journal tells, if that can be read."""
    saved = Journal(file_names.journal_path(begun.part), begun.root, begun.geometry).load()
    if saved is None or not os.path.exists(begun.part):
        return 0
    pieces = np.flatnonzero(saved.have(begun.geometry.piece_count)).tolist()
    return sum(map(begun.geometry.length_of, pieces))

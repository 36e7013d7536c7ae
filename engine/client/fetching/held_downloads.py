"""Begun downloads that do not run now: the reason of each, and which of them are tried again.

There are three kinds. A "paused" download is tried again now and then (no tracker answered, or the disk was full). A
"failed" one waits until the account is let into the group again. A "stuck" one needs its user, since its place on the
disk is not what it was, or the group has the file no more; only a disk that comes back is noticed here.

Invariant: each download that the ledger has of the account either runs (downloads) or is here, so the user can see and
end it.
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
"""Codes of errors that end when a disk is mounted again."""
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

    def __init__(self, resume: Callable[[StartedDownload], Awaitable[None]], tell: Callable[[Event], None]) -> None:
        self._resume, self._tell = resume, tell
        self._held: dict[Key, _Held] = {}

    def keep(self, begun: StartedDownload, error: ShoalError) -> None:
        """Hold this download; `error` says why it does not run."""
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
        """It runs again, or is over."""
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
        """Until it goes on, or is held for another reason. At random times, so that clients do not try in step."""
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
    """The state of a download that does not run because of this error."""
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
    """As its journal has it, if the journal can be read."""
    saved = Journal(file_names.journal_path(begun.part), begun.root, begun.geometry).load()
    if saved is None or not os.path.exists(begun.part):
        return 0
    pieces = np.flatnonzero(saved.have(begun.geometry.piece_count)).tolist()
    return sum(map(begun.geometry.length_of, pieces))

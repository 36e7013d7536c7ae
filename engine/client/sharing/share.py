"""One shared file as this client knows it: where it is, in which state it is, and when it is looked at next.

Only this class changes its fields. Not here: when it goes from one state to the next (shares).
"""

import asyncio
import os
import time
from dataclasses import dataclass

from engine.client.spellings import Key
from engine.reports import ShareState, ShareStatus
from engine.storage.ledger import SharedFile

_LOOK_AGAIN_S, _LOOK_AGAIN_MAX_S = 1.0, 60.0
_REST_MAX_S = 60.0


@dataclass(slots=True, eq=False)
class Share:
    """`file_id`: its number while it is served. `descriptor`: of the file as it was served, while it is read again.
    `is_doubted`: its marks prove nothing, so it has to be read. `is_said`: the user knows that it is being read.
    """

    file: SharedFile
    state: ShareState = "missing"
    reason: str = ""
    file_id: int | None = None
    descriptor: int | None = None
    is_doubted: bool = False
    task: asyncio.Task[None] | None = None
    checked_bytes: int = 0
    is_said: bool = False
    look_at_s: float = 0.0
    delay_s: float = 0.0
    served_at_s: float = 0.0
    rest_until_s: float = 0.0

    @property
    def key(self) -> Key:
        return self.file.group_id, self.file.name

    @property
    def content(self) -> tuple[str, bytes]:
        return self.file.group_id, self.file.root

    def begin_serving(self, file: SharedFile, file_id: int) -> None:
        """`file`: where it is now and its marks, which may be others than before."""
        self.let_go()
        self.file, self.file_id = file, file_id
        self.state, self.reason, self.served_at_s = "served", "", time.monotonic()
        self.checked_bytes, self.is_doubted, self.look_at_s = 0, False, 0.0

    def suspend(self, descriptor: int) -> None:
        """It is not served any more; `descriptor` is of the file as it was, and this share's from now on."""
        self.file_id, self.descriptor = None, descriptor
        self.forget_delay()

    def begin_reading(self, reason: str, task: asyncio.Task[None]) -> None:
        self.state, self.reason, self.is_said, self.checked_bytes = "rereading", reason, False, 0
        self.task = task

    def end_reading(self, seconds: float) -> None:
        """It took so long. A large file that is touched all the time is read half of the time, not always."""
        self.rest_until_s = time.monotonic() + min(seconds, _REST_MAX_S)
        self.task = None

    def lose(self, state: ShareState, reason: str) -> None:
        """It cannot be read now."""
        self.state, self.reason = state, reason
        self.look_later()

    def let_go(self) -> int | None:
        """Neither served nor read any more. Returns the number under which it was served."""
        file_id, self.file_id = self.file_id, None
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        return file_id

    def status(self) -> ShareStatus:
        size_bytes = self.file.geometry.size_bytes
        return ShareStatus(*self.key, self.file.path, size_bytes, self.state, self.reason, self.checked_bytes)

    def forget_delay(self) -> None:
        """If it was served for a minute, the next look comes soon again."""
        if time.monotonic() - self.served_at_s > _LOOK_AGAIN_MAX_S:
            self.delay_s = 0.0

    def look_later(self) -> None:
        """The next look is a second after it was lost, then more and more rarely."""
        self.delay_s = min(2 * self.delay_s, _LOOK_AGAIN_MAX_S) if self.delay_s else _LOOK_AGAIN_S
        self.look_at_s = time.monotonic() + self.delay_s

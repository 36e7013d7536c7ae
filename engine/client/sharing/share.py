"""One shared file as this client knows it: where it is, in which state, and when it is looked at next. A record.

Not here: what moves it from one state to the next (shares).
"""

import asyncio
import os
import time
from dataclasses import dataclass

from engine.client.spellings import Key
from engine.reports import ShareState, ShareStatus
from engine.storage.ledger import SharedFile

_LOOK_AGAIN_S, _LOOK_AGAIN_MAX_S = 1.0, 60.0


@dataclass(slots=True, eq=False)
class Share:
    """`file_id`: while it is served. `descriptor`: of the file as it was served, while it is read again."""

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

    def status(self) -> ShareStatus:
        size_bytes = self.file.geometry.size_bytes
        return ShareStatus(*self.key, self.file.path, size_bytes, self.state, self.reason, self.checked_bytes)

    def forget_delay(self) -> None:
        """It was well for so long that what befalls it now is something new."""
        if time.monotonic() - self.served_at_s > _LOOK_AGAIN_MAX_S:
            self.delay_s = 0.0

    def look_later(self) -> None:
        """A second after it went, then more and more seldom."""
        self.delay_s = min(2 * self.delay_s, _LOOK_AGAIN_MAX_S) if self.delay_s else _LOOK_AGAIN_S
        self.look_at_s = time.monotonic() + self.delay_s

    def close_descriptor(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

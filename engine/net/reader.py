"""Whether the other side of a link takes what it is sent: paused, slow, or stuck.

On a link that is as fast as its network the transport pauses and resumes many times a second, so there is one timer for
a link and not one for each pause.

Invariant: `on_slow` is called at most once between two resumes, and not before a pause has lasted `patience_s`.
"""

import asyncio
import time
from collections.abc import Callable


class Reader:
    """The other side, as a sender sees it."""

    def __init__(self, patience_s: float, on_slow: Callable[[], object]) -> None:
        self.is_paused = False
        self.is_slow = False
        """Whether `on_slow` was called since the last resume."""
        self._patience_s, self._on_slow = patience_s, on_slow
        self._paused_at_s = 0.0
        self._unread_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def pause(self) -> None:
        self.is_paused, self._paused_at_s, self._unread_bytes = True, time.monotonic(), 0
        if self._timer is None:
            self._look_again_in(self._patience_s)

    def resume(self) -> None:
        self.is_paused = self.is_slow = False

    def count_unread(self, count: int) -> int:
        """So many bytes more are to be sent; returns how many that makes since the other side stopped reading."""
        self._unread_bytes += count if self.is_paused else 0
        return self._unread_bytes if self.is_paused else 0

    def is_stuck(self, timeout_s: float) -> bool:
        """Whether the other side has taken nothing for so long, although it was sent something."""
        return self.is_paused and time.monotonic() - self._paused_at_s > timeout_s

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_again_in(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self.is_paused or self.is_slow:
            return
        left_s = self._paused_at_s + self._patience_s - time.monotonic()
        if left_s > 0:
            self._look_again_in(left_s)
        else:
            self.is_slow = True
            self._on_slow()

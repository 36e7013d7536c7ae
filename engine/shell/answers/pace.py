"""Decides how often progress is shown: after some time, or after some per cent.

Invariant: the first call for a piece of work only starts its clock, so work that is over at once shows no progress.
Not for: how progress looks (output).
"""

from collections.abc import Callable, Hashable

from engine.shell.answers import figures


class Pace:
    """Keeps apart any number of pieces of work, each under its own key."""

    def __init__(self, now_s: Callable[[], float], every_s: float, every_percent: int | None = None) -> None:
        self._now_s = now_s
        self._every_s = every_s
        self._every_percent = every_percent
        self._last: dict[Hashable, tuple[float, int]] = {}

    def is_due(self, key: Hashable, done: int, whole: int) -> bool:
        """Whether progress should be shown now. If so, the time to the next one begins now."""
        now_s, percent = self._now_s(), figures.percent(done, whole)
        last_s, last_percent = self._last.setdefault(key, (now_s, percent))
        is_step = self._every_percent is not None and percent - last_percent >= self._every_percent
        if now_s - last_s < self._every_s and not is_step:
            return False
        self._last[key] = (now_s, percent)
        return True

    def forget(self, key: Hashable) -> None:
        self._last.pop(key, None)

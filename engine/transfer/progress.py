"""How far one download is, how fast it moves, and from whom its bytes came. Pure.

Times are the caller's monotonic clock. Not here: which pieces there are (download), how it is shown (engine.shell).
"""

from collections import Counter, deque

_RATE_SPAN_S = 3.0


class Progress:
    """`bytes_by_peer` counts verified bytes only, `wasted_bytes` those that came and were not kept."""

    def __init__(self, now_s: float) -> None:
        self.checked_bytes = self.check_bytes = 0
        self.verified_bytes = 0
        self.wasted_bytes = 0
        self.bytes_by_peer: Counter[str] = Counter()
        self.started_at_s = self.ended_at_s = now_s
        self._recent: deque[tuple[float, int]] = deque()

    def tick(self, now_s: float) -> None:
        """Called a few times a second while it is fetched."""
        self._recent.append((now_s, self.verified_bytes))
        while self._recent[0][0] < now_s - _RATE_SPAN_S:
            self._recent.popleft()

    def recent_rate(self) -> float:
        """Of the last seconds, in bytes a second."""
        if len(self._recent) < 2:
            return 0.0
        (first_s, first_bytes), (last_s, last_bytes) = self._recent[0], self._recent[-1]
        return (last_bytes - first_bytes) / (last_s - first_s) if last_s > first_s else 0.0

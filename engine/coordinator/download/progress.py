"""How far one download is, how fast it moves, how long it took, and from whom its bytes came. Pure.

Time is counted by state, so that the rate of a finished download is that of its transfer and not of its waiting.
Times are the caller's monotonic clock. Not here: which pieces there are (piece_store), how it is shown (engine.shell).
"""

from collections import Counter, deque
from collections.abc import Callable

from engine.reports import DownloadState

_RATE_SPAN_S = 3.0
_TRANSFER: tuple[DownloadState, ...] = ("downloading", "finishing")
_WAITING: tuple[DownloadState, ...] = ("waiting", "no_space")


class Progress:
    """`bytes_by_peer` counts verified bytes of this run only, `wasted_bytes` those that came and were not kept.
    `state` is changed by `enter`. `on_change` is called when the state is another, and at every sign of progress.
    """

    def __init__(self, now_s: float) -> None:
        self.state: DownloadState = "checking"
        self.checked_bytes = self.check_bytes = 0
        self.verified_bytes = 0
        self.wasted_bytes = 0
        self.bytes_by_peer: Counter[str] = Counter()
        self._entered_at_s = now_s
        self._time_in_s: dict[DownloadState, float] = {}
        self._recent: deque[tuple[float, int]] = deque()
        self.on_change: Callable[[], None] = lambda: None

    def enter(self, state: DownloadState, at_s: float) -> None:
        """From `at_s` on it is in this state. That may lie in the past, but not before the state it was in."""
        at_s = max(at_s, self._entered_at_s)
        self._time_in_s[self.state] = self._in_state_s(self.state, at_s)
        self.state, self._entered_at_s = state, at_s
        self.on_change()

    def tick(self, now_s: float) -> None:
        """Called a few times a second while it is fetched."""
        self._recent.append((now_s, self.verified_bytes))
        while self._recent[0][0] < now_s - _RATE_SPAN_S:
            self._recent.popleft()
        self.on_change()

    def counted(self, verified_bytes: int) -> None:
        """So much is on this disk already."""
        self.verified_bytes = verified_bytes

    def gained(self, count: int) -> None:
        """So many more bytes are in the file and right."""
        self.verified_bytes += count

    def came_from(self, user_id: str, count: int) -> None:
        """This account sent them."""
        self.bytes_by_peer[user_id] += count

    def wasted(self, count: int) -> None:
        """They came and were not kept."""
        self.wasted_bytes += count

    def has_checked(self, done_bytes: int, total_bytes: int) -> None:
        """So much of what was here before was read and compared, or copied."""
        self.checked_bytes, self.check_bytes = done_bytes, total_bytes
        self.on_change()

    @property
    def fetched_bytes(self) -> int:
        """Verified bytes that came over the network in this run."""
        return self.bytes_by_peer.total()

    def transfer_s(self, now_s: float) -> float:
        """How long bytes could move."""
        return sum(self._in_state_s(state, now_s) for state in _TRANSFER)

    def waiting_s(self, now_s: float) -> float:
        """How long no peer could give anything, or there was no space."""
        return sum(self._in_state_s(state, now_s) for state in _WAITING)

    def _in_state_s(self, state: DownloadState, now_s: float) -> float:
        return self._time_in_s.get(state, 0.0) + (now_s - self._entered_at_s if state == self.state else 0.0)

    def recent_rate(self) -> float:
        """Of the last seconds, in bytes a second."""
        if len(self._recent) < 2:
            return 0.0
        (first_s, first_bytes), (last_s, last_bytes) = self._recent[0], self._recent[-1]
        return (last_bytes - first_bytes) / (last_s - first_s) if last_s > first_s else 0.0

    def mean_rate(self, now_s: float) -> float:
        """Of the whole transfer."""
        return self.fetched_bytes / seconds if (seconds := self.transfer_s(now_s)) > 0 else 0.0

"""When to tell somebody who shares that others get nothing from it: only they and the tracker know. Pure.

Whoever shares sees nothing of connections that never arrive. Fetchers report peers that gave them nothing
(peer_reports); if such reports go on for WARN_AFTER_S, the sharer is told, and not again for WARN_AGAIN_S, however
often it comes and goes.

Invariant: what is kept is bounded, and a place is told once in so long. Not here: which reports count (peer_reports).
"""

from tracker.settings import PEER_REPORT_LIFE_S, WARN_AFTER_S, WARN_AGAIN_S, WARNED_PLACES_MAX

_Place = tuple[str, str, int]
"""Account, host, port."""


class ReachWarnings:
    def __init__(self) -> None:
        self._reported: dict[_Place, tuple[float, float]] = {}  # since when, and when last
        self._warned_at_s: dict[_Place, float] = {}

    def is_due(self, place: _Place, now_s: float) -> bool:
        """Somebody reports this place now; whether its owner is to be told."""
        first_s, last_s = self._reported.pop(place, (now_s, now_s))
        if now_s - last_s > PEER_REPORT_LIFE_S:
            first_s = now_s  # that was another time
        self._reported[place] = first_s, now_s
        if len(self._reported) > WARNED_PLACES_MAX:
            del self._reported[next(iter(self._reported))]
        if now_s - first_s < WARN_AFTER_S or now_s - self._warned_at_s.get(place, -WARN_AGAIN_S) < WARN_AGAIN_S:
            return False
        self._warned_at_s.pop(place, None)
        self._warned_at_s[place] = now_s
        if len(self._warned_at_s) > WARNED_PLACES_MAX:
            del self._warned_at_s[next(iter(self._warned_at_s))]
        return True

    def is_well(self, place: _Place) -> None:
        """Somebody says that it serves."""
        self._reported.pop(place, None)

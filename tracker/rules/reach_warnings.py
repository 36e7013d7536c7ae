"""When to tell a sharer that others get nothing from it. Pure.

A sharer does not see connections that never arrive; only the fetchers and the tracker know of them. Fetchers report
peers that gave them nothing (peer_reports). If reports of a place go on for WARN_AFTER_S, its sharer is told, and not
again for WARN_AGAIN_S, however often it comes and goes.

Invariant: the number of places that are remembered is bounded. Not here: which reports count (peer_reports).
"""

from tracker.settings import PEER_REPORT_LIFE_S, WARN_AFTER_S, WARN_AGAIN_S, WARNED_PLACES_MAX

_Place = tuple[str, str, int]
"""Account, host, port."""


class ReachWarnings:
    def __init__(self) -> None:
        self._reported: dict[_Place, tuple[float, float]] = {}  # since when, and when last
        self._warned_at_s: dict[_Place, float] = {}

    def is_due(self, place: _Place, now_s: float) -> bool:
        """This place is reported now. Whether its sharer is to be told."""
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
        """A fetcher says that this place serves."""
        self._reported.pop(place, None)

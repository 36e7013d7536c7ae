"""What an idle link should take over when nothing is left to ask for: nothing, or one request of a slower link.

In this order, for the request that would finish last and that the idle link would shorten:

- *steal* what the slow link was not yet answered: it costs nothing;
- *split* what is on its way and has more than SPLIT_BYTES_MIN to go, unless all of it is sent before the cut is heard
  of: the idle link gets the second half;
- *steal* a small piece on its way when that is still much quicker: it costs what came of it;
- *duplicate* when the holder is silent, that is over its own deadline: two holders at most, the second into memory.

Pure: rates and round trips are measured by the windows of the links. Not here: carrying it out (scheduler).
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import NamedTuple

from engine.swarm.geometry import Geometry
from engine.swarm.leases import Leases, LinkId, Request
from engine.swarm.source import Source

STEAL_ADVANTAGE = 1.5
"""A thief must be that much quicker than the holder would be, or pieces would wander to and fro."""
RESTART_ADVANTAGE = 3.0
"""The same for a piece on its way, of which what came is thrown away."""
SPLIT_BYTES_MIN = 256 << 10
TWINS_MAX = 4
"""Duplicates at a time, of a piece each, in scratch memory."""


class How(Enum):
    STEAL = auto()
    SPLIT = auto()
    DUPLICATE = auto()


class Takeover(NamedTuple):
    request: Request
    thief: LinkId
    how: How
    is_overdue: bool


class Endgame:
    """Looks at one download's links and leases."""

    def __init__(self, geometry: Geometry, sources: Mapping[LinkId, Source], leases: Leases) -> None:
        self._geometry, self._sources, self._leases = geometry, sources, leases

    def takeovers(self, idle: Iterable[LinkId], now_s: float, *, is_over: bool) -> Iterator[Takeover]:
        """At most one for each idle link, each request at most once. As long as there are pieces that nobody was
        asked for (not `is_over`), only what is overdue and not yet answered is taken: whatever is on its way may be
        waited for.
        """
        rates = [each.window.rate_bytes_per_s for each in self._sources.values() if each.window.is_measured]
        usual_rate = statistics.median(rates) if rates else 0.0
        last_first = self._ranked(usual_rate, now_s, is_over)
        for thief in idle if last_first else ():
            found = self._best_for(thief, last_first, usual_rate, now_s)
            if found is not None:
                last_first = [each for each in last_first if each[2] is not found.request]
                yield found

    def _ranked(self, usual_rate: float, now_s: float, is_over: bool) -> list[tuple[bool, float, Request]]:
        """(is overdue, seconds left, request) of all that may be taken over; first what would come last."""
        found = []
        for request in self._leases:
            if request.thief is None and not request.is_scratch:
                is_overdue = self._sources[request.link].is_overdue(self._geometry.piece_bytes, usual_rate, now_s)
                if is_over or (is_overdue and request.piece is None):
                    found.append((is_overdue, self._seconds_left(request, usual_rate, now_s), request))
        found.sort(key=lambda each: each[:2], reverse=True)
        return found

    def _best_for(
        self, thief: LinkId, last_first: list[tuple[bool, float, Request]], usual_rate: float, now_s: float
    ) -> Takeover | None:
        source = self._sources[thief]
        thief_s = source.window.round_trip_s + source.window.seconds_for(self._geometry.piece_bytes, usual_rate)
        if not thief_s:
            return None  # no link was ever measured: there is no telling which is quick
        for is_overdue, left_s, request in last_first:
            how = self._how(request, left_s, thief_s, is_overdue)
            if how is None or not _can_take(source, request, now_s):
                continue
            if how is not How.STEAL or request.end or request.piece not in source.not_before_s:
                return Takeover(request, thief, how, is_overdue)
        return None

    def _how(self, request: Request, left_s: float, thief_s: float, is_overdue: bool) -> How | None:
        if request.piece is None:
            return How.STEAL if is_overdue or left_s > STEAL_ADVANTAGE * thief_s else None
        if is_overdue:
            if request.end:
                return How.STEAL
            twins = sum(each.is_scratch for each in self._leases)
            return How.DUPLICATE if request.twin is None and twins < TWINS_MAX else None
        if request.twin is not None:
            return None
        is_long = self._geometry.length_of(request.piece) > SPLIT_BYTES_MIN
        if is_long and request.is_cuttable:
            sent_s = self._sources[request.link].window.round_trip_s
            return How.SPLIT if left_s > STEAL_ADVANTAGE * thief_s / 2 + sent_s else None
        return How.STEAL if left_s > RESTART_ADVANTAGE * thief_s else None

    def _seconds_left(self, request: Request, usual_rate: float, now_s: float) -> float:
        """Expected time until a request is done; one that is late is expected to take as long again."""
        queue = self._leases.of_link(request.link)
        window = self._sources[request.link].window
        piece_s = window.seconds_for(self._geometry.piece_bytes, usual_rate)
        waited_s = now_s - (request.granted_at_s or request.asked_at_s)
        return max(piece_s * (queue.index(request) + 1) - waited_s, waited_s - piece_s)


def _can_take(source: Source, request: Request, now_s: float) -> bool:
    """What was taken from a link does not wander back to it, but it may help with what is on its way elsewhere."""
    if request.piece is not None:
        return source.pieces.has(request.piece) and source.not_before_s.get(request.piece, 0.0) <= now_s
    return any(source.pieces.has(piece) and piece not in source.not_before_s for piece in request.candidates)

"""One scheduler in virtual time: links with a rate and a round trip, and every promise checked after every event.

The checks keep their own books from what goes in and out (who was asked for what, who has what); only to see that a
piece in no request is free, and that availability is counted right, do they look inside.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.settings import Settings
from engine.swarm.geometry import Geometry
from engine.swarm.scheduler import Ask, Revoke, Scheduler
from tests.builders import bitfield_of

ACKNOWLEDGE_S = 0.0002
TICK_S = 0.1
SILENCE_S = 10.0
GIVE_UP_S = 1000.0


@dataclass(eq=False)
class VirtualLink:
    """A server that answers one request after the other, with a random candidate. `pieces`: what it told us it has."""

    link_id: int
    pieces: set[int]
    rate: float
    round_trip_s: float
    is_stalled: bool = False
    rejects: int = 0
    queue: list[Ask] = field(default_factory=list)
    serving: Ask | None = None
    heard_at_s: float = 0.0
    asked_for: set[int] = field(default_factory=set)
    in_flight_max: int = 0


class VirtualDownload:
    def __init__(
        self, geometry: Geometry, seed: int, had: Iterable[int] = (), settings: Settings | None = None
    ) -> None:
        self.geometry, self.rng, self.settings = geometry, random.Random(seed), settings or Settings()
        self.verified = set(had)
        have = np.zeros(geometry.piece_count, np.uint8)
        have[list(self.verified)] = 1
        self.scheduler = Scheduler(geometry, have, self.settings, random.Random(seed), itertools.count(1))
        self.now_s = 1.0
        self.links: dict[int, VirtualLink] = {}
        self.held: dict[int, tuple[int, set[int]]] = {}  # request → its link and the pieces it keeps from others
        self.revoking: set[int] = set()
        self.taken: set[tuple[int, int]] = set()  # (link, piece) that it refused or was taken from it
        self.revoked_count = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._link_ids = itertools.count(1)

    # ------------------------------------------------------------ what a test arranges

    def at(self, after_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + after_s, next(self._order), event))

    def connect(self, pieces: Iterable[int], rate: float = 1e7, round_trip_s: float = 0.001) -> VirtualLink:
        link = VirtualLink(next(self._link_ids), set(pieces), rate, round_trip_s, heard_at_s=self.now_s)
        self.links[link.link_id] = link
        self.scheduler.link_opened(link.link_id, bitfield_of(self.geometry.piece_count, link.pieces))
        return link

    def gain(self, link: VirtualLink, pieces: Iterable[int]) -> None:
        """Repeated pieces are part of it: a server may say what it said before."""
        if link.link_id in self.links:
            new = list(pieces)
            link.pieces.update(new)
            self.scheduler.link_has(link.link_id, new)

    def lose(self, link: VirtualLink) -> None:
        if self.links.pop(link.link_id, None) is not None:
            self.scheduler.link_lost(link.link_id)
            self.held = {key: held for key, held in self.held.items() if held[0] != link.link_id}
            self.taken = {pair for pair in self.taken if pair[0] != link.link_id}

    def refuse(self, request_id: int) -> None:
        self.scheduler.refused(request_id)
        self._gave_back(request_id)

    @property
    def reachable(self) -> set[int]:
        """Missing pieces that a connected link has."""
        return set().union(*(link.pieces for link in self.links.values())) - self.verified

    # ------------------------------------------------------------ running

    def run(self, until_s: float = GIVE_UP_S, *, is_patient: bool = False) -> None:
        """Until nothing that can be had is missing; with `is_patient`, until all that was arranged has happened too."""
        self.at(0.0, self._tick)
        while self._events and (self.reachable or (is_patient and len(self._events) > 1)):
            self.now_s, _, event = heapq.heappop(self._events)
            if self.now_s > until_s:
                return
            event()
            self.pump()

    def pump(self) -> None:
        """Carry out what the scheduler wants, checking each wish against the books."""
        for action in self.scheduler.next_actions(self.now_s):
            if isinstance(action, Ask):
                self._check_ask(action)
                link = self.links[action.link]
                self.held[action.request_id] = (action.link, set(action.candidates))
                link.asked_for.update(action.candidates)
                link.queue.append(action)
                link.in_flight_max = max(link.in_flight_max, self._in_flight_of(action.link))
                self._serve_next(link)
            else:
                self._revoke(action)
        assert self.scheduler.next_actions(self.now_s) == [], "asked again without news, it wanted more"
        self._check_books()

    def _tick(self) -> None:
        for link in list(self.links.values()):
            if self._in_flight_of(link.link_id) and self.now_s - link.heard_at_s > SILENCE_S + 2 * link.round_trip_s:
                self.lose(link)
        self.at(TICK_S, self._tick)

    def _serve_next(self, link: VirtualLink) -> None:
        if link.serving is None and link.queue and not link.is_stalled:
            link.serving = ask = link.queue.pop(0)
            waits_s = link.round_trip_s if self._in_flight_of(link.link_id) == 1 else 0.0
            self.at(waits_s, lambda: self._answer(link, ask))

    def _answer(self, link: VirtualLink, ask: Ask) -> None:
        link.heard_at_s = self.now_s
        if self._has_ended(link, ask) or link.is_stalled:
            return
        if link.rejects:
            link.rejects -= 1
            self.refuse(ask.request_id)
            self._finish(link)
            return
        piece = self.rng.choice(ask.candidates)
        self.scheduler.granted(ask.request_id, piece, self.now_s)
        self.held[ask.request_id] = (ask.link, {piece})
        self.at(self.geometry.length_of(piece) / link.rate, lambda: self._deliver(link, ask, piece))

    def _deliver(self, link: VirtualLink, ask: Ask, piece: int) -> None:
        link.heard_at_s = self.now_s
        if self._has_ended(link, ask) or link.is_stalled:
            return
        assert self.scheduler.verified(ask.request_id, self.now_s) == piece
        del self.held[ask.request_id]
        assert piece not in self.verified
        self.verified.add(piece)
        self._finish(link)

    def _has_ended(self, link: VirtualLink, ask: Ask) -> bool:
        if link.serving is ask and ask.request_id not in self.held:
            self._finish(link)
        return ask.request_id not in self.held

    def _finish(self, link: VirtualLink) -> None:
        link.serving = None
        self._serve_next(link)

    def _revoke(self, action: Revoke) -> None:
        assert self.held[action.request_id][0] == action.link
        assert action.request_id not in self.revoking, "revoked twice"
        self.revoking.add(action.request_id)
        self.revoked_count += 1
        self.at(ACKNOWLEDGE_S, lambda: self._acknowledge(action))

    def _acknowledge(self, action: Revoke) -> None:
        self.scheduler.revoked(action.request_id)
        self._gave_back(action.request_id)
        link = self.links.get(action.link)
        if link is not None:
            link.queue = [ask for ask in link.queue if ask.request_id != action.request_id]
            if link.serving is not None and link.serving.request_id == action.request_id:
                self._finish(link)

    def _gave_back(self, request_id: int) -> None:
        if request_id in self.held:
            link, pieces = self.held.pop(request_id)
            self.taken.update((link, piece) for piece in pieces)

    # ------------------------------------------------------------ the promises

    def _in_flight_of(self, link: int) -> int:
        return sum(holder == link for holder, _ in self.held.values())

    def _check_ask(self, ask: Ask) -> None:
        pieces, link = set(ask.candidates), self.links[ask.link]
        assert pieces, "asked for nothing"
        assert len(pieces) == len(ask.candidates) <= self.settings.candidates_per_request
        assert pieces <= link.pieces, "asked for a piece the link does not have"
        assert not pieces & self.verified, "asked for a piece that is there"
        for request_id, (_, held) in self.held.items():
            assert not pieces & held, f"asked for a piece that request {request_id} holds"
        in_flight = self._in_flight_of(ask.link)
        assert in_flight < self.settings.requests_per_link
        if in_flight and len(self.held) >= self.settings.pieces_in_flight:
            needs_bytes = self.scheduler._links[ask.link].window.needs_bytes()
            assert in_flight * self.geometry.piece_bytes < needs_bytes, "more in flight than the bound"
        for piece in pieces:
            if (ask.link, piece) in self.taken:
                others = [each for each in self.links.values() if piece in each.pieces]
                assert all((other.link_id, piece) in self.taken for other in others), "asked again, and others could"
                self.taken.clear()

    def _check_books(self) -> None:
        held = [piece for _, pieces in self.held.values() for piece in pieces]
        assert len(held) == len(set(held)), "a piece in two requests"
        picker = self.scheduler._picker
        free = {piece for piece in range(self.geometry.piece_count) if picker.is_free(piece)}
        assert free == set(range(self.geometry.piece_count)) - set(held) - self.verified
        assert picker.free_count == len(free)
        assert self.scheduler.missing_count == self.geometry.piece_count - len(self.verified)
        assert self.scheduler.is_complete == (self.scheduler.missing_count == 0)
        for link in self.links:
            assert self.scheduler.in_flight_of(link) == self._in_flight_of(link)
        availability = self.scheduler._availability
        having = Counter(piece for link in self.links.values() for piece in link.pieces)
        for piece in range(self.geometry.piece_count):
            assert availability.count_of(piece) == having[piece]
        assert len(availability.order) <= self.scheduler.missing_count + 65 + len(availability.order) // 256

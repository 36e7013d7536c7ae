"""One download's decisions: whom to ask for which pieces now, and what to take back.

The caller reports what happened (a link opened, a piece came, a link died), calls `next_actions`, carries the answers
out and reports again. The same code runs in the client and in a simulator, because time and randomness are
arguments and nothing here does I/O.

Rules, in the order they apply (ARCHITECTURE.md, "Scheduling", has the reasons and measurements):
1. The sum in flight is bounded and spread: the links with the fewest requests are asked first.
2. A link beyond that bound only while it has less in flight than twice its rate × round trip.
3. A request names a few of the rarest free pieces, no piece twice over all links, fewer near the end.
4. Endgame: when a link finds nothing free, it takes over what another would finish much later; the old holder is
   revoked first, and is not asked for that piece again while others can.

Invariant (I2): every missing piece is free or in exactly one request.
"""

import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.settings import Settings
from engine.swarm.availability import Availability
from engine.swarm.bitfield import Bitfield, Flags
from engine.swarm.geometry import Geometry
from engine.swarm.leases import Leases, LinkId, Request, RequestId
from engine.swarm.picker import Picker
from engine.swarm.window import Window

STEAL_ADVANTAGE = 1.5
"""A thief must be that much quicker than the holder would be, or pieces would wander to and fro."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request naming these candidates over this link."""

    request_id: RequestId
    link: LinkId
    candidates: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Revoke:
    """Tell the worker to stop this request; report `revoked` once it has acknowledged."""

    request_id: RequestId
    link: LinkId


@dataclass(slots=True)
class _Link:
    pieces: Bitfield
    window: Window = field(default_factory=Window)
    not_again: set[int] = field(default_factory=set)


class Scheduler:
    """All state of one download that decisions depend on."""

    def __init__(
        self, geometry: Geometry, have: Flags, settings: Settings, rng: random.Random, request_ids: Iterator[RequestId]
    ) -> None:
        """`have`: shape (piece_count,), uint8; copied, the caller keeps its own. `request_ids`: see Leases."""
        self._geometry = geometry
        self._settings = settings
        self._rng = rng
        self._availability = Availability(geometry.piece_count, rng)
        self._picker = Picker(self._availability, have)
        self._leases = Leases(request_ids)
        self._links: dict[LinkId, _Link] = {}
        self.missing_count = geometry.piece_count - int(have.sum())

    # ------------------------------------------------------------ what happened

    def link_opened(self, link: LinkId, pieces: Bitfield) -> None:
        """A link can serve this file, and has these pieces. `pieces` belongs to the scheduler from here on."""
        self._links[link] = _Link(pieces)
        self._availability.add_peer(pieces)

    def link_has(self, link: LinkId, new_pieces: list[int]) -> None:
        """HAVE: indices were checked by the link; repeated ones are ignored."""
        state = self._links.get(link)
        if state is None:
            return
        for piece in new_pieces:
            if state.pieces.add(piece):
                self._availability.add_have(piece)
                if state.pieces.is_complete:
                    self._availability.completed_peer(state.pieces)

    def link_lost(self, link: LinkId) -> None:
        """The link is gone, and nothing it was writing is being written any more."""
        state = self._links.pop(link, None)
        if state is None:
            return
        self._availability.lose_peer(state.pieces)
        for piece in self._leases.lose_link(link):
            self._picker.release(piece)

    def granted(self, request_id: RequestId, piece: int, now_s: float) -> None:
        """A PIECE header came: the server chose this candidate."""
        request = self._leases.find(request_id)
        if request is None:
            return
        if request.is_from_idle:
            self._links[request.link].window.answered_from_idle(now_s - request.asked_at_s)
        for freed in self._leases.grant(request, piece, now_s):
            self._picker.release(freed)

    def verified(self, request_id: RequestId, now_s: float) -> int | None:
        """A piece is in the file and matched; returns it, or None if the request had ended."""
        request = self._leases.find(request_id)
        if request is None or request.piece is None:
            return None
        piece = request.piece
        self._links[request.link].window.delivered(self._geometry.length_of(piece), now_s)
        self._leases.end(request)
        self._picker.retire(piece)
        self.missing_count -= 1
        return piece

    def refused(self, request_id: RequestId) -> None:
        """The server will not send it, or what it sent did not match: elsewhere, then."""
        request = self._leases.find(request_id)
        if request is not None:
            self._give_back(request)

    def revoked(self, request_id: RequestId) -> None:
        """The worker has stopped writing that piece."""
        request = self._leases.find(request_id)
        if request is not None:
            self._give_back(request)

    # ------------------------------------------------------------ what to do

    @property
    def is_complete(self) -> bool:
        return self.missing_count == 0

    @property
    def is_asking(self) -> bool:
        """Whether any request is under way."""
        return len(self._leases) > 0

    @property
    def link_count(self) -> int:
        """How many links can serve this file."""
        return len(self._links)

    def in_flight_of(self, link: LinkId) -> int:
        """How many requests this link owes an answer to."""
        return len(self._leases.of_link(link))

    def next_actions(self, now_s: float) -> list[Ask | Revoke]:
        """Everything that should be sent now. Calling again without news returns nothing."""
        if not self._links or self.is_complete:
            return []
        actions: list[Ask | Revoke] = list(self._fill(now_s))
        if not self._leases and self._picker.free_count:
            for state in self._links.values():
                state.not_again.clear()
            actions.extend(self._fill(now_s))
        actions.extend(self._steal(now_s))
        return actions

    def _fill(self, now_s: float) -> Iterator[Ask]:
        """Rules 1 to 3."""
        dry: set[LinkId] = set()
        while self._picker.free_count and len(dry) < len(self._links):
            link = min((each for each in self._links if each not in dry), key=self._fewest_first)
            if not self._has_room(link):
                dry.add(link)
                continue
            candidates = self._candidates(link)
            if not candidates:
                dry.add(link)
                continue
            yield self._ask(link, candidates, now_s)

    def _fewest_first(self, link: LinkId) -> tuple[int, float]:
        return self.in_flight_of(link), self._rng.random()

    def _has_room(self, link: LinkId) -> bool:
        in_flight = self.in_flight_of(link)
        if in_flight >= self._settings.requests_per_link:
            return False
        if len(self._leases) < self._settings.pieces_in_flight or not in_flight:
            return True
        return in_flight * self._geometry.piece_bytes < self._links[link].window.needs_bytes()

    def _candidates(self, link: LinkId) -> tuple[int, ...]:
        """A share of what is free, so that near the end every link still finds something."""
        state = self._links[link]
        share = self._picker.free_count // (2 * len(self._links))
        count = max(1, min(self._settings.candidates_per_request, share))
        offered = self._picker.rarest(state.pieces, count + len(state.not_again))
        return tuple(piece for piece in offered if piece not in state.not_again)[:count]

    def _ask(self, link: LinkId, candidates: tuple[int, ...], now_s: float) -> Ask:
        for piece in candidates:
            self._picker.reserve(piece)
        self._links[link].window.asked(now_s, is_idle=not self._leases.of_link(link))
        request = self._leases.ask(link, candidates, now_s)
        return Ask(request.request_id, link, candidates)

    def _give_back(self, request: Request) -> None:
        self._links[request.link].not_again.update(request.pieces)
        for piece in self._leases.end(request):
            self._picker.release(piece)

    # ------------------------------------------------------------ endgame

    def _steal(self, now_s: float) -> Iterator[Revoke]:
        """Rule 4: each idle link may have the one request taken back that it would shorten the most."""
        served = {request.thief for request in self._leases}
        idle = [link for link in self._links if link not in served and not self._leases.of_link(link)]
        if not idle or not self._leases:
            return
        rates = [s.window.rate_bytes_per_s for s in self._links.values() if s.window.is_measured]
        usual_rate = statistics.median(rates) if rates else 0.0
        for thief in idle:
            victim = self._slowest_request_for(thief, usual_rate, now_s)
            if victim is not None:
                victim.thief = thief
                yield Revoke(victim.request_id, victim.link)

    def _slowest_request_for(self, thief: LinkId, usual_rate: float, now_s: float) -> Request | None:
        state = self._links[thief]
        piece_bytes = self._geometry.piece_bytes
        thief_s = state.window.round_trip_s + state.window.seconds_for(piece_bytes, usual_rate)
        if not thief_s:
            return None  # nobody was ever measured: there is no telling who is quick
        slowest, slowest_s = None, STEAL_ADVANTAGE * thief_s
        for request in self._leases:
            if request.thief is not None or not any(
                state.pieces.has(piece) and piece not in state.not_again for piece in request.pieces
            ):
                continue
            left_s = self._seconds_left(request, usual_rate, now_s)
            if left_s > slowest_s:
                slowest, slowest_s = request, left_s
        return slowest

    def _seconds_left(self, request: Request, usual_rate: float, now_s: float) -> float:
        """Expected time until a request is done; one that is overdue is expected to take as long again."""
        queue = self._leases.of_link(request.link)
        window = self._links[request.link].window
        piece_s = window.seconds_for(self._geometry.piece_bytes, usual_rate)
        waited_s = now_s - (request.granted_at_s or request.asked_at_s)
        return max(piece_s * (queue.index(request) + 1) - waited_s, waited_s - piece_s)

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
from engine.swarm.actions import Action, Ask, CheckPiece, CompareParts, Cut, Keep, Revoke
from engine.swarm.endgame import SPLIT_BYTES_MIN
from engine.swarm.geometry import Geometry
from engine.swarm.scheduler import Scheduler
from tests.testkit.builders import bitfield_of, count_of

ACKNOWLEDGE_S = 0.0002
TICK_S = 0.1
SILENCE_S = 10.0
GIVE_UP_S = 1000.0


@dataclass(eq=False)
class Sending:
    """What a link is busy with: bytes [begin, end) of a piece, since `since_s`."""

    ask: Ask
    piece: int
    begin: int
    end: int
    since_s: float


@dataclass(eq=False)
class VirtualLink:
    """A server that answers one request after the other, with a random candidate. `pieces`: what it told us it has."""

    link_id: int
    pieces: set[int]
    rate: float
    round_trip_s: float
    is_stalled: bool = False
    rejects: int = 0
    puts_off: int = 0
    queue: list[Ask] = field(default_factory=list)
    serving: Ask | None = None
    sending: Sending | None = None
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
        self.twins: dict[int, tuple[int, int]] = {}  # request → its link and the piece it has a second copy of
        self.ranges: dict[int, tuple[int, int, int, int]] = {}  # request → its link, piece, begin and end
        self.came: dict[int, list[tuple[int, int]]] = {}  # split piece → ranges that came
        self.ready: set[int] = set()
        self.bad_wholes = 0  # so many split pieces will not match
        self.revoking: set[int] = set()
        self.taken: set[tuple[int, int]] = set()  # (link, piece) that it refused or was taken from it
        self.revoked_count = self.cut_count = self.twin_count = self.kept_count = 0
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
            for request_id in self._requests_of(link.link_id):
                self._forget(request_id)
            self.taken = {pair for pair in self.taken if pair[0] != link.link_id}

    def refuse(self, request_id: int) -> None:
        self.scheduler.refused(request_id, self.now_s)
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
            self._carry_out(action)
        again = self.scheduler.next_actions(self.now_s)
        assert again == [], f"asked again without news, it wanted more: {again}"
        self._check_books()

    def _carry_out(self, action: Action) -> None:
        match action:
            case Ask():
                self._ask(action)
            case Revoke():
                self._revoke(action)
            case Cut():
                assert action.request_id in self.held or action.request_id in self.ranges
                self.at(ACKNOWLEDGE_S, lambda: self._cut(action))
            case Keep():
                assert action.request_id in self.ready
                self.at(ACKNOWLEDGE_S, lambda: self._keep(action))
            case CheckPiece():
                self.at(ACKNOWLEDGE_S, lambda: self._check_whole(action.piece))
            case CompareParts():
                self.scheduler.compared(action.piece, [b""] * len(action.ranges))

    def _ask(self, ask: Ask) -> None:
        self._check_ask(ask)
        link = self.links[ask.link]
        if ask.is_scratch:
            self.twins[ask.request_id] = (ask.link, ask.candidates[0])
            self.twin_count += 1
        elif ask.length:
            self.ranges[ask.request_id] = (ask.link, ask.candidates[0], ask.begin, ask.begin + ask.length)
        else:
            self.held[ask.request_id] = (ask.link, set(ask.candidates))
        link.asked_for.update(ask.candidates)
        link.queue.append(ask)
        link.in_flight_max = max(link.in_flight_max, self._in_flight_of(ask.link))
        self._serve_next(link)

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
        if link.puts_off and not ask.length:
            link.puts_off -= 1
            self.scheduler.put_off(ask.request_id, self.now_s + 10 ** self.rng.uniform(-2, 0))
            taken = set(self.taken)  # this link may be asked for the same again
            self._gave_back(ask.request_id)
            self.taken = taken
            self._finish(link)
            return
        if link.rejects:
            link.rejects -= 1
            self.refuse(ask.request_id)
            self._finish(link)
            return
        piece = self.rng.choice(ask.candidates)
        self.scheduler.granted(ask.request_id, piece, self.now_s)
        if ask.request_id in self.held:
            self.held[ask.request_id] = (ask.link, {piece})
        end = ask.begin + ask.length if ask.length else self.geometry.length_of(piece)
        link.sending = Sending(ask, piece, ask.begin, end, self.now_s)
        self._deliver_later(link, link.sending)

    def _deliver_later(self, link: VirtualLink, sending: Sending) -> None:
        due_s = sending.since_s + (sending.end - sending.begin) / link.rate
        self.at(max(0.0, due_s - self.now_s), lambda: self._deliver(link, sending, sending.end))

    def _deliver(self, link: VirtualLink, sending: Sending, end: int) -> None:
        if sending.end != end or link.sending is not sending:
            return  # it was cut meanwhile, or has ended
        link.heard_at_s = self.now_s
        if self._has_ended(link, sending.ask) or link.is_stalled:
            return
        request_id = sending.ask.request_id
        if request_id in self.ranges:
            self._deliver_part(request_id)
        elif request_id in self.twins:
            self.ready.add(request_id)
            self.scheduler.scratch_ready(request_id, self.now_s)
        else:
            del self.held[request_id]
            self._verify(request_id, sending.piece)
        self._finish(link)

    def _deliver_part(self, request_id: int) -> None:
        _, piece, begin, end = self.ranges.pop(request_id)
        self.came[piece].append((begin, end))
        self.scheduler.part_received(request_id, b"", self.now_s)

    def _verify(self, request_id: int, piece: int) -> None:
        assert self.scheduler.verified(request_id, self.now_s) == piece
        assert piece not in self.verified
        self.verified.add(piece)

    def _cut(self, action: Cut) -> None:
        """As a worker would: half of what is left, in slices; 0 if it ended or less than a slice would be left."""
        at, link = 0, self.links.get(action.link)
        sending = link.sending if link is not None else None
        if link is not None and sending is not None and sending.ask.request_id == action.request_id:
            came = sending.begin + min(sending.end - sending.begin, int((self.now_s - sending.since_s) * link.rate))
            next_slice = sending.begin + -(-(came - sending.begin) // SPLIT_BYTES_MIN) * SPLIT_BYTES_MIN
            stop = next_slice + -(-(sending.end - next_slice) // (2 * SPLIT_BYTES_MIN)) * SPLIT_BYTES_MIN
            at = stop if came < stop < sending.end else 0
        self.scheduler.was_cut(action.request_id, at)
        if at and link is not None and sending is not None:
            self.cut_count += 1
            self.held.pop(action.request_id, None)
            self.ranges[action.request_id] = (link.link_id, sending.piece, sending.begin, at)
            self.came.setdefault(sending.piece, [])
            sending.end = at
            self._deliver_later(link, sending)

    def _keep(self, action: Keep) -> None:
        if action.request_id in self.ready:
            _, piece = self.twins.pop(action.request_id)
            self.ready.discard(action.request_id)
            self.kept_count += 1
            self._verify(action.request_id, piece)

    def _check_whole(self, piece: int) -> None:
        ranges = sorted(self.came.pop(piece))
        assert ranges[0][0] == 0
        assert ranges[-1][1] == self.geometry.length_of(piece)
        assert all(one[1] == other[0] for one, other in itertools.pairwise(ranges)), "the parts do not make the piece"
        is_good = self.bad_wholes <= 0
        self.bad_wholes -= 1
        assert sum(count for _, count in self.scheduler.checked(piece, is_good)) == is_good * ranges[-1][1]
        if is_good:
            assert piece not in self.verified
            self.verified.add(piece)

    def _has_ended(self, link: VirtualLink, ask: Ask) -> bool:
        is_over = not self._is_under_way(ask.request_id)
        if link.serving is ask and is_over:
            self._finish(link)
        return is_over

    def _is_under_way(self, request_id: int) -> bool:
        return request_id in self.held or request_id in self.twins or request_id in self.ranges

    def _finish(self, link: VirtualLink) -> None:
        link.serving = link.sending = None
        self._serve_next(link)

    def _revoke(self, action: Revoke) -> None:
        assert action.request_id in self._requests_of(action.link)
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
            link, pieces = self.held[request_id]
            self.taken.update((link, piece) for piece in pieces)
        elif request_id in self.ranges:
            self.taken.add(self.ranges[request_id][:2])
        elif request_id in self.twins:
            self.taken.add(self.twins[request_id])
        self._forget(request_id)

    def _forget(self, request_id: int) -> None:
        self.held.pop(request_id, None)
        self.twins.pop(request_id, None)
        self.ranges.pop(request_id, None)
        self.ready.discard(request_id)

    def _requests_of(self, link: int) -> set[int]:
        books: list[dict[int, tuple[int, ...]]] = [self.held, self.twins, self.ranges]  # type: ignore[list-item]
        return {request_id for book in books for request_id, entry in book.items() if entry[0] == link}

    # ------------------------------------------------------------ the promises

    def _in_flight_of(self, link: int) -> int:
        return len(self._requests_of(link))

    @property
    def _under_way(self) -> int:
        return len(self.held) + len(self.twins) + len(self.ranges)

    def _kept_from_others(self) -> list[int]:
        """Pieces in requests, one entry a holder; a twin holds its piece once the first holder is gone."""
        held = [piece for _, pieces in self.held.values() for piece in pieces]
        orphans = {piece for _, piece in self.twins.values()} - set(held) - self.verified
        return [*held, *orphans, *self.came]

    def _check_ask(self, ask: Ask) -> None:
        pieces, link = set(ask.candidates), self.links[ask.link]
        assert pieces, "asked for nothing"
        assert len(pieces) == len(ask.candidates) <= self.settings.candidates_of_complete
        assert pieces <= link.pieces, "asked for a piece the link does not have"
        assert not pieces & self.verified, "asked for a piece that is there"
        if ask.is_scratch:
            assert any(pieces <= held and holder != ask.link for holder, held in self.held.values()), "no first holder"
            assert not any(piece in pieces for _, piece in self.twins.values()), "a third holder"
            return
        if ask.length:
            piece, begin, end = ask.candidates[0], ask.begin, ask.begin + ask.length
            asked = [(first, last) for _, split, first, last in self.ranges.values() if split == piece]
            for first, last in [*asked, *self.came[piece]]:
                assert end <= first or last <= begin, "asked for a range twice"
        else:
            assert not pieces & set(self._kept_from_others()), "asked for a piece that another request holds"
        in_flight = self._in_flight_of(ask.link)
        assert in_flight < self.settings.requests_per_link
        if ask.length:
            return
        share = -(-self.settings.pieces_in_flight // len(self.links))
        if in_flight and (in_flight >= share or self._under_way >= self.settings.pieces_in_flight):
            needs_bytes = self.scheduler._links[ask.link].window.needs_bytes()
            assert in_flight * self.geometry.piece_bytes < needs_bytes, "more in flight than the bound"
        for piece in pieces:
            if (ask.link, piece) in self.taken:
                others = [each for each in self.links.values() if piece in each.pieces]
                assert all((other.link_id, piece) in self.taken for other in others), "asked again, and others could"

    def _check_books(self) -> None:
        held = self._kept_from_others()
        assert len(held) == len(set(held)), "a piece in two requests"
        picker = self.scheduler._picker
        free = {piece for piece in range(self.geometry.piece_count) if picker.is_free(piece)}
        assert free == set(range(self.geometry.piece_count)) - set(held) - self.verified
        assert picker.free_count == len(free)
        assert self.scheduler.missing_count == self.geometry.piece_count - len(self.verified)
        assert self.scheduler.is_complete == (self.scheduler.missing_count == 0)
        for each in self.scheduler.snapshot(self.now_s):
            assert each.requests == self._in_flight_of(each.link)
            assert (each.cause == "asked") == (each.requests > 0)
        availability = self.scheduler._availability
        having = Counter(piece for link in self.links.values() for piece in link.pieces)
        for piece in range(self.geometry.piece_count):
            assert count_of(availability, piece) == having[piece]
        assert len(availability.order) <= self.scheduler.missing_count + 65 + len(availability.order) // 256

"""One download's decisions: which pieces to ask of which link now, and what to take back.

The caller reports what happened (a link opened, a piece came, a link died), calls `next_actions`, carries the actions
out and reports again. Time and randomness are arguments, so that a simulator runs the same code as the client.

Rules, in the order they apply (docs/scheduling.md has the reasons, docs/performance.md the measurements):
1. The sum in flight is bounded and spread: every link gets one request, and more only if there are fewer links than the
   bound and all have something to offer.
2. A link beyond that only while it has less in flight than twice its rate × round trip; none while it puts us off.
3. A request names a few of the rarest free pieces, no piece twice over all links, fewer near the end. To a complete
   peer it names more of them, as long as some piece is had by no other peer.
4. Incomplete peers are asked before complete ones when they have all that is missing.
5. Endgame: a link that finds nothing free takes over what another would finish much later (endgame).

Invariant (I2): every missing piece is free, or split (split_pieces), or in exactly one request that is written.
"""

import heapq
import random
from collections.abc import Iterator, Sequence

from engine.settings import Settings
from engine.swarm.actions import Action, Ask, CheckPiece, CompareParts, Cut, Keep, Revoke
from engine.swarm.availability import Availability
from engine.swarm.bitfield import Bitfield, Flags
from engine.swarm.endgame import Endgame, How, Takeover
from engine.swarm.geometry import Geometry
from engine.swarm.leases import Leases, LinkId, Request, RequestId
from engine.swarm.picker import Picker
from engine.swarm.source import LinkSnapshot, Source
from engine.swarm.split_pieces import Part, SplitPieces

REFUSED_S = 1.0
"""How long a link is not asked again for a piece that it would not send and no other link has."""
LOOK_S = 0.05
"""How often overdue requests are looked for while there are free pieces; a quarter of the shortest deadline."""
SILENT_S = 5.0
"""How long a link that let a deadline pass is left alone while another has something to offer."""


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
        self._links: dict[LinkId, Source] = {}
        self._endgame = Endgame(geometry, self._links, self._leases)
        self._splits = SplitPieces()
        self._pending: list[Action] = []  # what has to follow from reports, whatever else is decided
        self._dry: set[LinkId] = set()  # links that have nothing free, as far as we know
        self._roomy: set[LinkId] = set()  # all links that may be asked for more by rule 2, and perhaps some others
        self._looked_at_s = 0.0  # when overdue requests were looked for
        self.missing_count = geometry.piece_count - int(have.sum())

    # ------------------------------------------------------------ what happened to links

    def link_opened(self, link: LinkId, pieces: Bitfield) -> None:
        """A link can serve this file, and has these pieces. `pieces` belongs to the scheduler from here on."""
        self._links[link] = Source(pieces)
        self._roomy.add(link)
        self._availability.add_peer(pieces)

    def link_has(self, link: LinkId, new_pieces: Sequence[int]) -> bool:
        """HAVE: indices were checked by the link; repeated ones are ignored. Whether it is of use now: some piece is
        free, or nothing is, so that it may be taken over.
        """
        source = self._links.get(link)
        if source is None:
            return False
        is_of_use = not self._picker.free_count
        for piece in new_pieces:
            if source.pieces.add(piece):
                self._availability.add_have(piece)
                if self._picker.is_free(piece):
                    self._dry.discard(link)
                    is_of_use = True
                if source.pieces.is_complete:
                    self._availability.completed_peer(source.pieces)
        return is_of_use

    def link_lost(self, link: LinkId) -> None:
        """The link is gone, and nothing it was writing is being written any more."""
        if link not in self._links:
            return
        for request in self._leases.of_all(link):
            self._give_back(request)
        self._dry.discard(link)
        self._roomy.discard(link)
        self._availability.lose_peer(self._links.pop(link).pieces)

    # ------------------------------------------------------------ what happened to requests

    def granted(self, request_id: RequestId, piece: int, now_s: float) -> None:
        """A PIECE header came: the server chose this candidate."""
        request = self._leases.find(request_id)
        if request is None or request.is_over:
            return
        if request.is_from_idle:
            self._links[request.link].window.answered_from_idle(now_s - request.asked_at_s)
            self._roomy.add(request.link)
        for freed in self._leases.grant(request, piece, now_s):
            self._release(freed)

    def verified(self, request_id: RequestId, now_s: float) -> int | None:
        """A piece is in the file and matched; returns it, or None if the request had ended."""
        request = self._leases.find(request_id)
        if request is None or request.piece is None or request.is_over:
            return None
        piece, twin = request.piece, request.twin
        if not request.is_ready:
            self._links[request.link].window.delivered(self._geometry.length_of(piece), now_s)
        self._end(request)
        if twin is not None:
            twin.is_over = True
            self._pending.append(Revoke(twin.request_id, twin.link))
        self._retire(piece)
        suspects = self._splits.suspects_of(piece)
        if suspects:
            ranges = tuple((part.begin, part.end) for part in suspects)
            self._pending.append(CompareParts(piece, ranges))
        return piece

    def refused(self, request_id: RequestId, now_s: float) -> None:
        """The server will not send it, or what it sent did not match: elsewhere, then, or later."""
        request = self._leases.find(request_id)
        if request is not None:
            self._bar(request, now_s + REFUSED_S)
            self._give_back(request)

    def put_off(self, request_id: RequestId, until_s: float) -> None:
        """The server would rather not send it now, nor anything else before then: others, meanwhile."""
        if (request := self._leases.find(request_id)) is not None:
            self._links[request.link].rests_until_s = until_s
            self._give_back(request)

    def revoked(self, request_id: RequestId) -> None:
        """The worker has stopped writing that piece."""
        request = self._leases.find(request_id)
        if request is not None:
            self._bar(request, 0.0)
            self._give_back(request)

    def was_cut(self, request_id: RequestId, at: int) -> None:
        """The request will end at byte `at` of its piece; 0: it was too late for that."""
        request = self._leases.find(request_id)
        if request is None or request.piece is None:
            return
        request.thief = None
        if not at:
            request.is_cuttable = False
            return
        length = self._geometry.length_of(request.piece)
        self._splits.cut(request.piece, length, at, request.end or length)
        request.end = at

    def part_received(self, request_id: RequestId, digest: bytes, now_s: float) -> None:
        """A part of a split piece is in the file; its hash."""
        request = self._leases.find(request_id)
        if request is None or request.piece is None:
            return
        self._links[request.link].window.delivered(request.end - request.begin, now_s)
        part = Part(request.link, request.begin, request.end, digest)
        self._end(request)
        if self._splits.add(request.piece, part):
            self._pending.append(CheckPiece(request.piece))

    def checked(self, piece: int, is_good: bool) -> list[tuple[LinkId, int]]:
        """A split piece was compared as a whole. If it is good: how many bytes came over which link."""
        parts = self._splits.judge(piece, is_good)
        if parts is None:
            return []
        if not is_good:
            self._release(piece)
            return []
        self._retire(piece)
        return [(part.link, part.end - part.begin) for part in parts]

    def check_again(self) -> None:
        """The worker that was to compare pieces is gone."""
        self._pending += [CheckPiece(piece) for piece in self._splits.whole()]

    def compared(self, piece: int, digests: list[bytes]) -> list[LinkId]:
        """The hashes of the good bytes; returns the links that sent others."""
        return [part.link for part in self._splits.compare(piece, digests)]

    def scratch_ready(self, request_id: RequestId, now_s: float) -> None:
        """A duplicate is whole and good, in memory: the silent holder has to let go first, if it has not."""
        request = self._leases.find(request_id)
        if request is None or request.is_over:
            return
        self._links[request.link].window.delivered(self._geometry.piece_bytes, now_s)
        request.is_ready = True
        if request.twin is None:
            self._pending.append(Keep(request_id, request.link))
        else:
            request.twin.thief = request.link
            self._pending.append(Revoke(request.twin.request_id, request.twin.link))

    # ------------------------------------------------------------ what to do

    @property
    def is_complete(self) -> bool:
        return self.missing_count == 0

    @property
    def is_asking(self) -> bool:
        """Whether any request is under way."""
        return len(self._leases) > 0

    def snapshot(self, now_s: float) -> list[LinkSnapshot]:
        """How each link does now, and why nothing is asked on it, if so."""
        of_link, dry = self._leases.of_link, self._dry
        return [each.snapshot(link, of_link(link), now_s, is_dry=link in dry) for link, each in self._links.items()]

    def is_seen_to_have(self, link: LinkId, pieces: Sequence[int]) -> bool:
        """Whether the peer of this link said that it has all of these."""
        return link in self._links and all(map(self._links[link].pieces.has, pieces))

    def in_flight_of(self, link: LinkId) -> int:
        """How many requests this link owes an answer to."""
        return len(self._leases.of_link(link))

    def next_actions(self, now_s: float) -> list[Action]:
        """Everything that should be done now. Calling again without news returns nothing."""
        actions, self._pending = self._pending, []
        if self._links and not self.is_complete:
            actions.extend(self._fill_ranges(now_s))
            actions.extend(self._fill(now_s))
            taken = list(self._take_over(now_s))
            if taken:  # who let a deadline pass is not counted on any more: others may be asked in its stead
                actions.extend([*taken, *self._fill(now_s)])
        return actions

    def _fill(self, now_s: float) -> Iterator[Ask]:
        """Rules 1 to 4."""
        if not self._picker.free_count:
            return
        queue: list[tuple[bool, int, bool, float, LinkId]] = []
        for link in (self._links.keys() if self._share_of_link() > 1 else self._roomy) - self._dry:
            each, in_flight = self._links[link], self.in_flight_of(link)
            if each.rests_until_s > now_s:
                continue
            if self._has_room(link, in_flight):
                is_silent, chance = each.silent_until_s > now_s, self._rng.random()
                queue.append((is_silent, in_flight, self._is_spared(each), chance, link))
            else:
                self._roomy.discard(link)
        heapq.heapify(queue)
        while queue and self._picker.free_count:
            is_silent, in_flight, is_spare, chance, link = heapq.heappop(queue)
            if not self._has_room(link, in_flight) or (is_silent and self._is_anyone_awake(now_s)):
                continue
            candidates = self._candidates(link, now_s)
            if candidates:
                yield self._ask(link, candidates, now_s)
                heapq.heappush(queue, (is_silent, in_flight + 1, is_spare, chance, link))
            elif not self._links[link].not_before_s:
                self._dry.add(link)

    def _has_room(self, link: LinkId, in_flight: int) -> bool:
        settings = self._settings
        if in_flight >= settings.requests_per_link:
            return False
        window = self._links[link].window
        if not in_flight or not window.is_measured:
            return not in_flight
        if in_flight < self._share_of_link() and len(self._leases) < settings.pieces_in_flight:
            return True
        return in_flight * self._geometry.piece_bytes < window.needs_bytes()

    def _share_of_link(self) -> int:
        """How many requests a link may have by rule 1: one, if there is a link that has nothing for us."""
        return 1 if self._dry else -(-self._settings.pieces_in_flight // len(self._links))

    def _is_spared(self, source: Source) -> bool:
        """Rule 4."""
        return source.pieces.is_complete and self._availability.is_common

    def _is_anyone_awake(self, now_s: float) -> bool:
        return any(each.is_awake(now_s) and link not in self._dry for link, each in self._links.items())

    def _candidates(self, link: LinkId, now_s: float) -> tuple[int, ...]:
        """Rule 3. Near the end a share of what is free, so that every link still finds something."""
        source, settings, availability = self._links[link], self._settings, self._availability
        is_needed = source.pieces.is_complete and not availability.is_common
        if is_needed:
            rivals = availability.complete_count * self._share_of_link()
            count = max(1, min(settings.candidates_of_complete, self._picker.free_count // rivals))
        else:
            count = max(1, min(settings.candidates_per_request, self._picker.free_count // (2 * len(self._links))))
        offered = self._picker.rarest(source.pieces, count + len(source.not_before_s))
        if source.not_before_s:
            offered = [piece for piece in offered if self._may_ask(source, piece, now_s)]
        return tuple(offered[:count])

    def _may_ask(self, source: Source, piece: int, now_s: float) -> bool:
        """A piece that a link refused or lost is asked of it again when no other has it, after a pause."""
        if piece not in source.not_before_s:
            return True
        if now_s < source.not_before_s[piece]:
            return False
        return not any(each.pieces.has(piece) and piece not in each.not_before_s for each in self._links.values())

    def _ask(self, link: LinkId, candidates: tuple[int, ...], now_s: float) -> Ask:
        for piece in candidates:
            self._picker.reserve(piece)
        self._asked(link, now_s)
        request = self._leases.ask(link, candidates, now_s)
        return Ask(request.request_id, link, candidates)

    def _asked(self, link: LinkId, now_s: float) -> None:
        self._links[link].window.asked(now_s, is_idle=not self._leases.of_link(link))

    # ------------------------------------------------------------ endgame

    def _fill_ranges(self, now_s: float) -> Iterator[Ask]:
        """What was cut off goes to the idle link with the fewest failures; without one it waits."""
        for piece, begin, end in self._splits.free_ranges():
            able = [
                link for link, source in self._links.items()
                if source.pieces.has(piece) and not self._leases.of_link(link)
                and source.not_before_s.get(piece, 0.0) <= now_s
            ]  # fmt: skip
            if able:
                link = min(able, key=lambda each: (self._links[each].silent_until_s > now_s, self._rng.random()))
                self._splits.take(piece, begin, end)
                self._asked(link, now_s)
                request = self._leases.ask(link, (piece,), now_s, begin=begin, end=end)
                yield Ask(request.request_id, link, (piece,), begin, end - begin)

    def _take_over(self, now_s: float) -> Iterator[Action]:
        """Rule 5. As long as something is free only what is overdue is taken, and that may wait for the next look."""
        is_over = not self._picker.free_count
        if not is_over and now_s - self._looked_at_s < LOOK_S:
            return
        self._looked_at_s = now_s
        served = {request.thief for request in self._leases}
        idle = [
            link for link, source in self._links.items()
            if link not in served and source.is_awake(now_s) and not self._leases.of_link(link)
        ]  # fmt: skip
        if idle and len(self._leases):
            for takeover in list(self._endgame.takeovers(idle, now_s, is_over=is_over)):
                yield self._begin(takeover, now_s)

    def _begin(self, takeover: Takeover, now_s: float) -> Action:
        request, thief = takeover.request, takeover.thief
        if takeover.is_overdue:
            self._links[request.link].silent_until_s = now_s + SILENT_S
        if takeover.how is How.DUPLICATE and request.piece is not None:
            self._asked(thief, now_s)
            twin = self._leases.ask_twin(thief, request, now_s)
            return Ask(twin.request_id, thief, twin.candidates, is_scratch=True)
        request.thief = thief
        if takeover.how is How.SPLIT:
            return Cut(request.request_id, request.link)
        return Revoke(request.request_id, request.link)

    # ------------------------------------------------------------ ends of requests

    def _end(self, request: Request) -> tuple[int, ...]:
        """Forget it; returns the pieces it held."""
        self._roomy.add(request.link)
        return self._leases.end(request)

    def _bar(self, request: Request, not_before_s: float) -> None:
        pieces = request.pieces or ((request.piece,) if request.piece is not None else request.candidates)
        for piece in pieces:
            self._links[request.link].not_before_s[piece] = not_before_s

    def _give_back(self, request: Request) -> None:
        """It ended without its piece."""
        twin = request.twin
        if request.end:
            self._end(request)
            self._splits.give_back(request.candidates[0] if request.piece is None else request.piece,
                                   request.begin, request.end)  # fmt: skip
            return
        for piece in self._end(request):
            self._release(piece)
        if twin is not None and twin.is_ready:
            self._pending.append(Keep(twin.request_id, twin.link))

    def _release(self, piece: int) -> None:
        self._picker.release(piece)
        if self._dry:
            self._dry -= {link for link in self._dry if self._links[link].pieces.has(piece)}

    def _retire(self, piece: int) -> None:
        self._picker.retire(piece)
        self.missing_count -= 1

"""The engine's rules of scheduling, each switched off, to see in a swarm what the rule is worth.

What `Settings` can switch off is switched off there; the rest are substitutes for a part of the scheduler. They are
made here, so that the engine carries no switch that only a bench would use. Not here: the swarms they are tried in
(scenarios).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from engine.settings import Settings
from engine.swarm.actions import Ask, Revoke
from engine.swarm.bitfield import Bitfield
from engine.swarm.endgame import Endgame, How
from engine.swarm.leases import LinkId, Request, RequestId
from engine.swarm.picker import Picker
from engine.swarm.scheduler import Scheduler
from engine.swarm.sender_choice import Flags, SentPieces
from engine.swarm.source import Source
from tests.testkit.simulation.scenarios import MakeSwarm
from tests.testkit.simulation.swarm import Swarm


class FirstNamed(SentPieces):
    """The receiver's choice: what is rarest as far as it knows."""

    def least(self, candidates: Sequence[int], have: Flags) -> int | None:
        return next((piece for piece in candidates if have[piece]), None)


class NeverPutOff(SentPieces):
    """Repeats leave beside the first copies of the last pieces."""

    def wait_s(self, piece: int, now_s: float) -> float:
        return 0.0


class _InOrder(Picker):
    """Free pieces from the first of the file to the last."""

    def rarest(self, pieces: Bitfield, count: int) -> list[int]:
        free = np.flatnonzero(self._free).astype(np.int32)
        found: list[int] = free[pieces.has_each(free)][:count].tolist()
        return found


class InOrder(Scheduler):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._picker = _InOrder(self._availability, arguments[1])


class CompleteAlike(Scheduler):
    """Complete peers are asked like all others."""

    def _is_spared(self, source: Source) -> bool:
        return False


class FourEach(Scheduler):
    """Up to four requests a link, however many there are in all."""

    def _has_room(self, link: LinkId, in_flight: int) -> bool:
        return in_flight < 4


class Overlapping(Scheduler):
    """Several links are asked for the same; what a second one begins to send is called off."""

    def _ask(self, link: LinkId, candidates: tuple[int, ...], now_s: float) -> Ask:
        self._asked(link, now_s)
        return Ask(self._leases.ask(link, candidates, now_s).request_id, link, candidates)

    def granted(self, request_id: RequestId, piece: int, now_s: float) -> None:
        request = self._leases.find(request_id)
        if request is not None and not request.is_scratch and not request.end:
            if request.thief is None and self._picker.is_free(piece):
                self._picker.reserve(piece)
                request.candidates = (piece,)
            else:
                request.is_over = True
                if request.thief is None:
                    request.thief = request.link
                    self._pending.append(Revoke(request_id, request.link))
        super().granted(request_id, piece, now_s)

    def _end(self, request: Request) -> tuple[int, ...]:
        request.is_over |= request.piece is None and not request.end and not request.is_scratch
        return super()._end(request)

    def _bar(self, request: Request, not_before_s: float) -> None:
        if not request.is_over:
            super()._bar(request, not_before_s)


class _EndgameWithout(Endgame):
    missing: frozenset[How] = frozenset()

    def _how(self, request: Request, left_s: float, thief_s: float, is_overdue: bool) -> How | None:
        how = super()._how(request, left_s, thief_s, is_overdue)
        return None if how in self.missing else how


def _without(*missing: How) -> type[Scheduler]:
    class Without(Scheduler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._endgame = _EndgameWithout(self._geometry, self._links, self._leases)
            self._endgame.missing = frozenset(missing)

    return Without


def _with(**settings: int) -> MakeSwarm:
    return partial(Swarm, settings=replace(Settings(), **settings))


RULES: dict[str, MakeSwarm] = {
    "all rules": Swarm,
    "receiver's choice": partial(Swarm, sent=FirstNamed),
    "nobody is put off": partial(Swarm, sent=NeverPutOff),
    "8 candidates to complete peers too": _with(candidates_of_complete=8),
    "1 candidate": _with(candidates_per_request=1, candidates_of_complete=1),
    "4 candidates": _with(candidates_per_request=4, candidates_of_complete=4),
    "32 candidates": _with(candidates_per_request=32, candidates_of_complete=32),
    "candidates not disjoint": partial(Swarm, scheduler=Overlapping),
    "complete peers not spared": partial(Swarm, scheduler=CompleteAlike),
    "in order instead of rarest first": partial(Swarm, scheduler=InOrder),
    "four requests a link": partial(Swarm, scheduler=FourEach),
    "2 slots": _with(upload_slots=2),
    "32 slots": _with(upload_slots=32),
    "no stealing": partial(Swarm, scheduler=_without(How.STEAL)),
    "no splitting": partial(Swarm, scheduler=_without(How.SPLIT)),
    "no duplicates": partial(Swarm, scheduler=_without(How.DUPLICATE)),
    "no endgame": partial(Swarm, scheduler=_without(*How)),
}
"""What is different, and a swarm in which it is."""

"""One link as the scheduler sees it: what its server has, how quick it is, what not to ask it for.

`LinkSnapshot` says the same to people: how the link does at one moment, and why nothing is asked on it, if so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from engine.swarm.bitfield import Bitfield
from engine.swarm.leases import LinkId, Request
from engine.swarm.window import Window

DEADLINE_TURNS = 3.0
"""A piece is overdue after so many times what one usually takes over this link …"""
DEADLINE_S_MIN = 0.2
"""… and so long, because a machine may hesitate."""

LinkCause = Literal["asked", "put_off", "silent", "nothing_new", "ready"]
"""asked: it owes an answer. put_off: its server asked not to be asked before some time. silent: it let a deadline pass,
and others are asked first. nothing_new: it has nothing that is free to ask for. ready: it may be asked."""


class LinkSnapshot(NamedTuple):
    """`requests`: how many wait for an answer, the oldest since `waited_s`. A rate or round trip of 0: not measured."""

    link: LinkId
    rate_bytes_per_s: float
    round_trip_s: float
    requests: int
    waited_s: float
    cause: LinkCause


@dataclass(slots=True)
class Source:
    """`not_before_s`: pieces it refused or that were taken from it, and when they may be asked of it again, if at all.

    `silent_until_s`: it let a deadline pass, so others are asked first until then. `rests_until_s`: it asked not to be
    asked before.
    """

    pieces: Bitfield
    window: Window = field(default_factory=Window)
    not_before_s: dict[int, float] = field(default_factory=dict)
    silent_until_s: float = 0.0
    rests_until_s: float = 0.0

    def is_awake(self, now_s: float) -> bool:
        return max(self.silent_until_s, self.rests_until_s) <= now_s

    def is_overdue(self, piece_bytes: int, usual_rate: float, now_s: float) -> bool:
        """Whether what is under way should have come long ago, by the mean of this link itself."""
        turn_s = self.window.seconds_for(piece_bytes, usual_rate)
        if not turn_s:
            return False
        deadline_s = max(DEADLINE_S_MIN, DEADLINE_TURNS * turn_s) + 2 * self.window.round_trip_s
        return now_s - self.window.busy_since_s > deadline_s

    def snapshot(self, link: LinkId, requests: Sequence[Request], now_s: float, *, is_dry: bool) -> LinkSnapshot:
        """`requests`: those under way on it, oldest first. `is_dry`: there is nothing free that it has."""
        cause: LinkCause = "ready"
        if requests:
            cause = "asked"
        elif self.rests_until_s > now_s:
            cause = "put_off"
        elif is_dry:
            cause = "nothing_new"
        elif self.silent_until_s > now_s:
            cause = "silent"
        waited_s = now_s - requests[0].asked_at_s if requests else 0.0
        window = self.window
        return LinkSnapshot(link, window.rate_bytes_per_s, window.round_trip_s, len(requests), waited_s, cause)

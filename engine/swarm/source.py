"""One link as the scheduler sees it: what its server has, how quick it is, what not to ask it for."""

from dataclasses import dataclass, field

from engine.swarm.bitfield import Bitfield
from engine.swarm.window import Window

DEADLINE_TURNS = 3.0
"""A piece is overdue after so many times what one usually takes over this link …"""
DEADLINE_S_MIN = 0.2
"""… and so long, because a machine may hesitate."""


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

"""Finds out whether this machine's clock agrees with the trackers', and words it when that changes. Pure.

Certificates and tickets begin and end by the tracker's clock, and each member judges them by its own (to believe a
peer's clock would let an old ticket pass). With a wrong clock members do not find each other, and nothing on the screen
explains it. So the client says it.

Not for: correcting a clock.
"""

_WRONG_FROM_S = 30.0
"""From here on tickets look as if they were not valid yet (tracker.protocol.tickets)."""


class ClockCheck:
    """By the tracker's line in tracker_info.txt, from 0."""

    def __init__(self) -> None:
        self._wrong: set[int] = set()

    def heard(self, tracker_index: int, ahead_s: float) -> str | None:
        """A sentence for the user, if the clocks began or ceased to differ; otherwise None."""
        is_wrong = abs(ahead_s) >= _WRONG_FROM_S
        if is_wrong == (tracker_index in self._wrong):
            return None
        if not is_wrong:
            self._wrong.discard(tracker_index)
            return f"this machine's clock and that of tracker {tracker_index + 1} agree again"
        self._wrong.add(tracker_index)
        how = "ahead of" if ahead_s > 0 else "behind"
        return (
            f"this machine's clock is {_words(abs(ahead_s))} {how} that of tracker {tracker_index + 1}: while they "
            "differ, members take each other's tickets and certificates for invalid, so files may not come or not be "
            "served; set whichever is wrong"
        )


def _words(seconds: float) -> str:
    for unit_s, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} seconds"

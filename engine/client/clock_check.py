"""Whether this machine's clock agrees with the trackers', in a sentence when that changes. Pure.

Certificates and tickets begin and end by the tracker's clock and are judged by everybody's own (a peer's word on the
time would be a way to use an old ticket). So a clock that is wrong shows as members who do not find each other, which
nobody would guess; nothing is corrected here, it is only said.
"""

_WRONG_FROM_S = 30.0
"""From here on tickets look as if they were not valid yet (tracker.protocol.tickets)."""


class ClockCheck:
    """By the tracker's line in tracker_info.txt, from 0."""

    def __init__(self) -> None:
        self._wrong: set[int] = set()

    def heard(self, tracker_index: int, ahead_s: float) -> str | None:
        """What to say of it; None if that was said, or there is nothing to say."""
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

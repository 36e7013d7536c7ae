"""How much of a piece is sent between two looks at cancellations and at other links.

A slice costs both ends about the same work whatever its length, so a fast link takes longer ones; a slow link takes the
shortest, or a cancellation would come late. It follows the pace of the link, smoothed as time for a byte, so that a
burst into an empty buffer is no sign of speed.

Pure: the clock is the caller's.
"""

SHORTEST_BYTES = 256 << 10
LONGEST_BYTES = 1 << 20
SLICE_S = 0.01
"""How long a slice may keep a link busy, beyond the shortest."""
_WEIGHT = 0.25


class SliceLength:
    """Of one link. `next_bytes` is between SHORTEST_BYTES and LONGEST_BYTES."""

    def __init__(self) -> None:
        self._seconds_per_byte = SLICE_S / SHORTEST_BYTES
        self.next_bytes = SHORTEST_BYTES

    def sent(self, count: int, took_s: float) -> None:
        """The link was ready for more `took_s` after it was given `count` bytes."""
        self._seconds_per_byte += _WEIGHT * (took_s / count - self._seconds_per_byte)
        fastest = SLICE_S / LONGEST_BYTES
        self.next_bytes = max(SHORTEST_BYTES, int(SLICE_S / max(self._seconds_per_byte, fastest)))

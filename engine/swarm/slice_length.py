"""How much of a piece is sent between two looks at cancellations and at other links, and how much may wait unsent.

A slice costs both ends about the same work whatever its length, so a fast link takes longer ones; a slow link takes the
shortest, or a cancellation would come late. What the system has taken and not sent yet is just as late, so that it
should be little on a slow link; on a fast one it saves wake-ups. Both follow the pace of the link, smoothed as time for
a byte, so that a burst into an empty buffer is no sign of speed. A link is slow until it has shown its pace.

Pure: the clock is the caller's.
"""

SHORTEST_BYTES = 256 << 10
LONGEST_BYTES = 1 << 20
SLICE_S = 0.01
"""How long a slice may keep a link busy, beyond the shortest."""
SLOW_SLICE_S = 0.02
"""A link is slow when the shortest slice takes longer: 13 MB/s."""
_WEIGHT = 0.25


class SliceLength:
    """Of one link. `next_bytes` is between SHORTEST_BYTES and LONGEST_BYTES; `is_slow`: little should wait unsent."""

    def __init__(self) -> None:
        self._seconds_per_byte = SLICE_S / SHORTEST_BYTES
        self.next_bytes = SHORTEST_BYTES
        self.is_slow = True

    def sent(self, count: int, took_s: float) -> None:
        """The link was ready for more `took_s` after it was given `count` bytes."""
        self._seconds_per_byte += _WEIGHT * (took_s / count - self._seconds_per_byte)
        self.is_slow = self._seconds_per_byte * SHORTEST_BYTES > SLOW_SLICE_S
        fastest = SLICE_S / LONGEST_BYTES
        self.next_bytes = max(SHORTEST_BYTES, int(SLICE_S / max(self._seconds_per_byte, fastest)))

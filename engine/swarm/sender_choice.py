"""Which of the pieces it was asked for a server sends: the one it has sent least, and no repeat too early.

The receiver's view of what is rare is always old on a fast network: by the time a request arrives, others have been
sent the same pieces. The server knows what it sent itself. For the first seeder of a file this is super-seeding without
hiding anything (BEP 16): no piece leaves twice while one that is asked for never left. And when all have left once, the
last of them are still on their way; what is asked for then will soon be at other
leechers, so a peer that asks is put off for that long and asks them meanwhile.

Invariant: what was never sent is never put off; the rest never for longer than PUT_OFF_S_MAX, and once in a round.
Not here: who may send now (upload_slots), what is done with a request that is put off (piece_sender, scheduler).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SENT_FORGOTTEN_S = 5.0
"""After so long without a byte of a file what was sent says nothing about what those who ask now lack; longer than a
slice takes on a link of 50 kB/s."""
PUT_OFF_S_MAX = 1.0
IN_NETWORK_BYTES = 5 << 19
"""Of first copies that hold no slot any more and have not arrived: 160 KiB on each of sixteen links, half of it in the
system's queue (sealed_transport)."""

_LAST_SENT, _ROUND_BEGAN, _REPEATS_WAIT = range(CLOCKS := 3)


class Flags(Protocol):
    """Whether each piece is here: an array, a buffer, a list."""

    def __getitem__(self, piece: int, /) -> int: ...


class SentPieces:
    """What one client has sent of one file, as all its workers see it.

    There is no lock: two workers that count at the same instant lose a count, which does no harm.
    """

    def __init__(
        self, counts: NDArray[np.uint32], clocks: NDArray[np.float64], slot_count: int, piece_bytes: int
    ) -> None:
        """`counts`: shape (piece_count,), how often each was sent. `clocks`: shape (CLOCKS,), monotonic seconds, 0 for
        never. Both are zero at first and written from here only.
        """
        self.counts = counts
        self._clock_check = clocks
        self._on_their_way = slot_count + IN_NETWORK_BYTES / piece_bytes

    def goes_on(self, now_s: float) -> None:
        """Something of the file is about to be sent. After a long pause all is counted anew."""
        clocks = self._clock_check
        if not clocks[_LAST_SENT] or now_s - clocks[_LAST_SENT] > SENT_FORGOTTEN_S:
            self.counts[:] = 0
            clocks[_ROUND_BEGAN] = now_s
            clocks[_REPEATS_WAIT] = 0.0
        clocks[_LAST_SENT] = now_s

    def least(self, candidates: Sequence[int], have: Flags) -> int | None:
        """The candidate that is here and was sent least, the first named among equals; None if none of them is here."""
        here = [piece for piece in candidates if have[piece]]
        return min(here, key=self.counts.__getitem__) if here else None

    def wait_s(self, piece: int, now_s: float) -> float:
        """For how long a peer that asks for this piece is put off; 0 if it may leave now."""
        return max(0.0, float(self._clock_check[_REPEATS_WAIT]) - now_s) if self.counts[piece] else 0.0

    def count(self, piece: int, now_s: float) -> None:
        """It leaves now."""
        counts, clocks = self.counts, self._clock_check
        counts[piece] += 1
        if counts[piece] == 1 and not clocks[_REPEATS_WAIT] and counts.all():
            usual_s = (now_s - clocks[_ROUND_BEGAN]) / len(counts)
            clocks[_REPEATS_WAIT] = now_s + min(self._on_their_way * usual_s, PUT_OFF_S_MAX)

    def count_back(self, piece: int) -> None:
        """It was not sent after all, or in vain: for the choice it never left."""
        self.counts[piece] -= self.counts[piece] > 0

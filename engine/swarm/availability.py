"""How many connected peers have each piece, with the pieces kept sorted by it: the ground of rarest-first.

The order is an array cut into buckets of equal availability, as in libtorrent's piece picker: one more peer having a
piece swaps it with the last of its bucket and moves the border, so a HAVE costs the same for ten pieces or a million.
A whole bitfield is added at once and the order rebuilt by a stable radix sort. Ties are in random order, drawn from the
given generator, so that leechers that know the same do not all ask for the same.

Pieces that were retired (we have them) leave the order in batches, so that they neither pile up at its rare end nor
cost a rebuild each.

Invariant: `order` holds every piece once that is not retired, and at most a few retired ones; availability never falls
along it.
Not here: which pieces are free to ask for (picker).
"""

import random

import numpy as np
from numpy.typing import NDArray

from engine.swarm.bitfield import Bitfield

_RETIRED_IN_ORDER_MIN = 64


class Availability:
    """Peers per piece, and pieces from rarest to commonest. `order`: dtype int32, shape (pieces not retired + few,)."""

    def __init__(self, piece_count: int, rng: random.Random) -> None:
        self._count = np.zeros(piece_count, np.uint16)
        shuffled = np.random.Generator(np.random.PCG64(rng.getrandbits(64))).permutation(piece_count)
        self._shuffled: NDArray[np.int32] = shuffled.astype(np.int32)
        self._is_wanted = np.ones(piece_count, np.bool_)
        self._retired_in_order = 0
        self._everyone = 0  # complete peers raise every count alike, so they are kept apart: O(1) to add or lose one
        self._rebuild()

    def count_of(self, piece: int) -> int:
        """How many connected peers have this piece."""
        return self._counts[piece] + self._everyone

    def add_peer(self, pieces: Bitfield) -> None:
        if pieces.is_complete:
            self._everyone += 1
        elif pieces.count:
            self._count += pieces.to_flags()
            self._rebuild()

    def lose_peer(self, pieces: Bitfield) -> None:
        """`pieces` as it is now, after every HAVE that was passed to `add_have`."""
        if pieces.is_complete:
            self._everyone -= 1
        elif pieces.count:
            self._count -= pieces.to_flags()
            self._rebuild()

    def completed_peer(self, pieces: Bitfield) -> None:
        """A peer whose pieces were counted one by one now has them all: count it with the complete ones."""
        self._count -= np.uint16(1)
        self._everyone += 1
        self._rebuild()

    def add_have(self, piece: int) -> None:
        """One more peer has this piece."""
        count = self._counts[piece]
        self._counts[piece] = count + 1
        if self._position[piece] < 0:
            return
        last = self._bucket_end[count] - 1
        here, moved = self._position[piece], self._order[last]
        self._order[here], self._position[moved] = moved, here
        self._order[last], self._position[piece] = piece, last
        self._bucket_end[count] = last
        if count + 2 > len(self._bucket_end):
            self._bucket_end.append(len(self._order))

    def retire(self, piece: int) -> None:
        """We have this piece: its rank is of no interest any more."""
        self._is_wanted[piece] = False
        self._retired_in_order += 1
        if self._retired_in_order > _RETIRED_IN_ORDER_MIN + len(self.order) // 256:
            self._index(self.order[self._is_wanted[self.order]])

    def retire_all(self, pieces: NDArray[np.int64]) -> None:
        """The same for many at once: what a resumed download had before."""
        self._is_wanted[pieces] = False
        self._rebuild()

    def _rebuild(self) -> None:
        wanted = self._shuffled[self._is_wanted[self._shuffled]]
        self._index(wanted[np.argsort(self._count[wanted], kind="stable")])

    def _index(self, order: NDArray[np.int32]) -> None:
        self.order = order
        self._retired_in_order = 0
        positions = np.full(len(self._count), -1, np.int32)
        positions[order] = np.arange(len(order), dtype=np.int32)
        ends = np.cumsum(np.bincount(self._count[order], minlength=1))
        # Plain buffers beside the arrays: reading one element of a numpy array costs five times as much.
        self._counts, self._order = self._count.data, self.order.data
        self._position = positions.data
        self._bucket_end: list[int] = ends.tolist()

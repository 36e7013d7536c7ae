"""How many connected peers have each piece, with the pieces kept sorted by that number: what rarest-first needs.

The order is an array cut into buckets of equal availability, as in libtorrent's piece picker: one more peer having a
piece swaps it with the last of its bucket and moves the border, so a HAVE costs the same for ten pieces or a million.
A whole bitfield is added at once, and the order rebuilt by a stable radix sort when it is next asked for, so that many
peers may join for the price of one sort. Ties are in random order, drawn from the given generator, so that leechers
that know the same do not all ask for the same.

Pieces that were retired (we have them) are passed over at the rare end, where most of them are, and leave the rest of
the order in batches.

Invariant: `order` holds every piece once that is not retired, and a few retired ones; along those that are not retired,
availability never falls.
Not here: which pieces are free to ask for (picker).
"""

import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.swarm.bitfield import Bitfield

_RETIRED_IN_ORDER_MIN = 64
_SEGMENT = 1 << 15


class Availability:
    """Peers per piece, and the pieces from rarest to commonest."""

    def __init__(self, piece_count: int, rng: random.Random) -> None:
        self._count = np.zeros(piece_count, np.uint16)
        # A plain buffer beside each array, since reading one element of a numpy array is slow.
        self._counts = self._count.data
        ranked = np.arange(piece_count, dtype=np.int32)
        np.random.Generator(np.random.PCG64(rng.getrandbits(64))).shuffle(ranked)
        self._wanted = np.ones(piece_count, np.bool_)
        self._is_wanted = self._wanted.data
        self._positions = np.zeros(piece_count, np.int32)
        self._everyone = 0  # complete peers raise every count alike, so they are kept apart: O(1) to add or lose one
        self._is_stale = True
        self._ranked: NDArray[np.int32] = ranked
        self._start = 0
        self._index(ranked)

    @property
    def order(self) -> NDArray[np.int32]:
        """From rarest to commonest; shape (pieces not retired + few,). Valid until the next change."""
        if self._is_stale:
            self._ranked = _those(self._ranked, self._wanted)
            self._index(_sorted(self._ranked, self._count))
            self._is_stale = False
        return self._ranked[self._start :]

    @property
    def is_common(self) -> bool:
        """Whether each piece that is not retired is had by some peer that is not complete."""
        order = self.order
        return len(order) > 0 and self._counts[order[0]] > 0

    @property
    def complete_count(self) -> int:
        """How many connected peers have every piece."""
        return self._everyone

    def add_peer(self, pieces: Bitfield) -> None:
        if pieces.is_complete:
            self._everyone += 1
        elif pieces.count:
            self._count += pieces.to_flags()
            self._is_stale = True

    def lose_peer(self, pieces: Bitfield) -> None:
        """`pieces` as it is now, after every HAVE that was passed to `add_have`."""
        if pieces.is_complete:
            self._everyone -= 1
        elif pieces.count:
            self._count -= pieces.to_flags()
            self._is_stale = True

    def completed_peer(self, pieces: Bitfield) -> None:
        """A peer whose pieces were counted one by one now has them all: count it with the complete ones."""
        self._count -= np.uint16(1)
        self._everyone += 1
        self._is_stale = True

    def add_have(self, piece: int) -> None:
        """One more peer has this piece."""
        count = self._counts[piece]
        self._counts[piece] = count + 1
        if self._is_stale or not self._is_wanted[piece]:
            return
        last = self._bucket_end[count] - 1
        here, moved = self._position[piece], self._rank[last]
        self._rank[here], self._position[moved] = moved, here
        self._rank[last], self._position[piece] = piece, last
        self._bucket_end[count] = last
        if count + 2 > len(self._bucket_end):
            self._bucket_end.append(len(self._rank))

    def retire(self, piece: int) -> None:
        """We have this piece: its rank is of no interest any more."""
        self._is_wanted[piece] = False
        self._retired_in_order += 1
        while self._start < len(self._rank) and not self._is_wanted[self._rank[self._start]]:
            self._start += 1
            self._retired_in_order -= 1
        if not self._is_stale and self._retired_in_order > _RETIRED_IN_ORDER_MIN + len(self._rank) // 256:
            self._index(_those(self._ranked, self._wanted))

    def retire_all(self, pieces: NDArray[np.int64]) -> None:
        """The same for many at once: what a resumed download had before."""
        self._wanted[pieces] = False
        self._is_stale = True

    def _index(self, ranked: NDArray[np.int32]) -> None:
        self._ranked = ranked
        self._start = self._retired_in_order = 0
        sizes = np.zeros(int(self._count.max(initial=0)) + 1, np.int64)
        for start, segment in _segments(ranked):
            self._positions[segment] = np.arange(start, start + len(segment), dtype=np.int32)
            sizes += np.bincount(self._count[segment], minlength=len(sizes))
        self._rank, self._position = ranked.data, self._positions.data
        self._bucket_end: list[int] = np.cumsum(sizes).tolist()


def _segments(pieces: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """numpy makes 8 bytes of every index of an array of indices, and the allocator keeps that memory: a part at a time,
    it is little.
    """
    return ((start, pieces[start : start + _SEGMENT]) for start in range(0, len(pieces), _SEGMENT))


def _those(pieces: NDArray[np.int32], flags: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The pieces that have their flag set, in their order."""
    if flags.all():
        return pieces
    return np.concatenate([pieces[:0], *(segment[flags[segment]] for _, segment in _segments(pieces))])


def _sorted(pieces: NDArray[np.int32], count: NDArray[np.uint16]) -> NDArray[np.int32]:
    """By `count[piece]`, ties as they were: a counting sort, each segment into its places of every bucket."""
    bucket_count = int(count.max(initial=0)) + 1
    sizes = [np.bincount(count[segment], minlength=bucket_count) for _, segment in _segments(pieces)]
    begins = np.cumsum(total := sum(sizes, np.zeros(bucket_count, np.int64))) - total
    ranked = np.empty_like(pieces)
    for (_, segment), size in zip(_segments(pieces), sizes, strict=True):
        in_segment = np.cumsum(size) - size
        places = np.repeat(begins - in_segment, size) + np.arange(len(segment))
        ranked[places] = segment[np.argsort(count[segment], kind="stable")]
        begins += size
    return ranked

"""Which pieces to ask a link for next: the rarest that it has, that are wanted, and that no link was asked for.

Walks the availability order from its rare end in growing chunks, a few numpy operations each, so that a pick is cheap
with a million pieces.

Invariant: a piece is free, or reserved by exactly one request, or had. Only free pieces are offered.
Not here: how many to ask for and of whom (scheduler).
"""

import numpy as np

from engine.swarm.availability import Availability
from engine.swarm.bitfield import Bitfield, Flags

_RESERVED = 96
"""The rare end is where the reserved pieces are: so many of them are looked over at once."""
_CHUNK_GROWTH = 4


class Picker:
    """Free pieces of one download, offered rarest first."""

    def __init__(self, availability: Availability, have: Flags) -> None:
        """`have`: shape (piece_count,), uint8, what was verified before; it is read once, not kept."""
        self._availability = availability
        availability.retire_all(np.flatnonzero(have))
        self._free = have == 0
        self._flags = self._free.data
        self.free_count = int(self._free.sum())

    def is_free(self, piece: int) -> bool:
        return bool(self._flags[piece])

    def reserve(self, piece: int) -> None:
        """Take a free piece off the offer: it was asked for, or we have it now."""
        if not self._flags[piece]:
            raise ValueError(f"piece {piece} is not free")
        self._flags[piece] = False
        self.free_count -= 1

    def retire(self, piece: int) -> None:
        """A reserved piece was verified: it will never be offered again."""
        self._availability.retire(piece)

    def release(self, piece: int) -> None:
        """Offer a reserved piece again."""
        if self._flags[piece]:
            raise ValueError(f"piece {piece} is free already")
        self._flags[piece] = True
        self.free_count += 1

    def rarest(self, pieces: Bitfield, count: int) -> list[int]:
        """Up to `count` free pieces out of `pieces`, rarest first."""
        found: list[int] = []
        if not self.free_count or not pieces.count:
            return found
        order, start = self._availability.order, 0
        chunk_length = _RESERVED + 2 * count * pieces.piece_count // pieces.count  # enough, nearly always
        while start < len(order) and len(found) < count:
            chunk = order[start : start + chunk_length]
            chunk = chunk[self._free.take(chunk)]
            if not pieces.is_complete:
                chunk = chunk[pieces.has_each(chunk)]
            found.extend(chunk[: count - len(found)].tolist())
            start += chunk_length
            chunk_length *= _CHUNK_GROWTH
        return found

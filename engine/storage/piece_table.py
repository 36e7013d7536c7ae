"""What the processes of a client share about one file: a few numbers for every piece, as numpy arrays in shared memory.

    leaves     uint8 (n, 32)   the hash each piece must have; written once, before anyone attaches
    sent       uint32 (n,)     how often this client sent each piece, and
    sent_at_s  float64 (3,)    when; workers write to both (swarm.sender_choice)
    have       uint8 (n,)      1: the piece is in the file and matched (I1)

Invariant (I6): only the coordinator writes `have`, only ever from 0 to 1, after the bytes are in the file; so workers
need no lock. The memory has no name and goes with the last process that maps it; nothing can be left behind.
"""

import mmap
import os

import numpy as np
from numpy.typing import NDArray

from engine.storage.disk_errors import explained
from engine.storage.manifest import LEAF_BYTES, Leaves
from engine.swarm.bitfield import Flags
from engine.swarm.sender_choice import CLOCKS

_SENT_BYTES = 4
_CLOCK_BYTES = 8 * CLOCKS


class PieceTable:
    """The arrays of one file with `piece_count` pieces."""

    def __init__(self, descriptor: int, piece_count: int) -> None:
        """Attach to memory made by `create`; the descriptor is not needed afterwards."""
        size_bytes = _size_bytes(piece_count)
        if os.fstat(descriptor).st_size != size_bytes:
            raise ValueError(f"a piece table of another size than {piece_count} pieces need")
        self._map = mmap.mmap(descriptor, size_bytes)
        leaves_end = _CLOCK_BYTES + piece_count * LEAF_BYTES
        sent_end = leaves_end + piece_count * _SENT_BYTES
        whole = np.frombuffer(self._map, np.uint8)
        self.sent_at_s: NDArray[np.float64] = whole[:_CLOCK_BYTES].view(np.float64)
        self.leaves: Leaves = whole[_CLOCK_BYTES:leaves_end].reshape(piece_count, LEAF_BYTES)
        self.sent: NDArray[np.uint32] = whole[leaves_end:sent_end].view(np.uint32)
        self.have: Flags = whole[sent_end : sent_end + piece_count]

    def verified(self) -> list[int]:
        """The pieces whose have-bit is set, ascending."""
        # A copy, since nonzero counts first, lists then, and raises RuntimeError if the count no longer holds.
        pieces: list[int] = np.flatnonzero(self.have.copy()).tolist()
        return pieces

    @classmethod
    def create(cls, piece_count: int) -> tuple["PieceTable", int]:
        """Fresh, all zero, and the descriptor to pass on to workers; the caller closes it. Raises StorageError."""
        try:
            descriptor = os.memfd_create("shoal-file", os.MFD_CLOEXEC)
        except OSError as error:
            raise explained(error, "make", "the memory that workers share") from error
        try:
            os.ftruncate(descriptor, _size_bytes(piece_count))
            return cls(descriptor, piece_count), descriptor
        except OSError as error:
            os.close(descriptor)
            raise explained(error, "make", "the memory that workers share") from error


def _size_bytes(piece_count: int) -> int:
    return _CLOCK_BYTES + piece_count * (LEAF_BYTES + _SENT_BYTES + 1)

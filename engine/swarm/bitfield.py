"""Which pieces a peer has.

A client's own bitfield is one uint8 a piece, in memory shared with its workers (storage.piece_table); what its peers
have is kept packed, one bit a piece, because there may be a thousand peers and a million pieces. Bits are in
network order: piece 0 is the highest bit of the first byte, as in BEP 3.

Invariant: the bits behind the last piece are zero.
"""

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.uint8]
"""shape (piece_count,), values 0 and 1."""

_MASKS = np.array([128, 64, 32, 16, 8, 4, 2, 1], np.uint8)


class BadBitfield(ValueError):
    """Wrong length, or bits set behind the last piece."""


class Bitfield:
    """The pieces one peer has. `packed` has shape (ceil(piece_count / 8),), dtype uint8."""

    __slots__ = ("_bits", "count", "packed", "piece_count")

    def __init__(self, piece_count: int, packed: bytes | None = None) -> None:
        """Empty, or from wire bytes; raises BadBitfield unless those fit `piece_count` exactly."""
        byte_count = (piece_count + 7) // 8
        if packed is None:
            self.packed = np.zeros(byte_count, np.uint8)
        elif len(packed) != byte_count:
            raise BadBitfield(f"a bitfield of {len(packed)} bytes for {piece_count} pieces")
        else:
            self.packed = np.frombuffer(packed, np.uint8).copy()
            spare_bits = byte_count * 8 - piece_count
            if spare_bits and int(self.packed[-1]) & ((1 << spare_bits) - 1):
                raise BadBitfield(f"a bitfield with bits behind its last piece, {piece_count - 1}")
        self.piece_count = piece_count
        self.count = int(np.bitwise_count(self.packed).sum())
        self._bits = self.packed.data

    @property
    def is_complete(self) -> bool:
        return self.count == self.piece_count

    def has(self, piece: int) -> bool:
        return bool(self._bits[piece >> 3] >> (7 - (piece & 7)) & 1)

    def has_each(self, pieces: NDArray[np.int32]) -> NDArray[np.bool_]:
        """For an array of valid indices, whether each is set; same shape."""
        return (self.packed.take(pieces >> 3) & _MASKS.take(pieces & 7)).astype(np.bool_)

    def add(self, piece: int) -> bool:
        """Set one bit; False if it was set already."""
        mask = 1 << (7 - (piece & 7))
        byte = self._bits[piece >> 3]
        if byte & mask:
            return False
        self._bits[piece >> 3] = byte | mask
        self.count += 1
        return True

    def to_flags(self) -> Flags:
        """Unpacked: one uint8 a piece."""
        return np.unpackbits(self.packed, count=self.piece_count)


def pack(flags: Flags) -> bytes:
    """Flags, one a piece, as wire bytes."""
    return np.packbits(flags).tobytes()

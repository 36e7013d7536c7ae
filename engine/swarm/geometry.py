"""Piece arithmetic of one file; the only place that divides by a piece size.

Invariant: a piece index that passed `check_piece` is inside the file, so nothing after it checks again.
"""

from dataclasses import dataclass

PIECE_BYTES_MIN = 1 << 18
PIECE_BYTES_MAX = 1 << 24
PIECES_AIMED_AT = 1000
"""Fewer pieces balance links worse, more pieces cost more overhead (docs/scheduling.md)."""
PIECE_COUNT_MAX = 1 << 20


class BadGeometry(ValueError):
    """A size, piece size or piece index that cannot be."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """A file of `size_bytes` cut into pieces of `piece_bytes`; the last one may be shorter, an empty file has none."""

    size_bytes: int
    piece_bytes: int

    def __post_init__(self) -> None:
        power_of_two = self.piece_bytes > 0 and self.piece_bytes & (self.piece_bytes - 1) == 0
        if not power_of_two or not PIECE_BYTES_MIN <= self.piece_bytes <= PIECE_BYTES_MAX:
            raise BadGeometry(f"pieces of {self.piece_bytes} bytes")
        if self.size_bytes < 0 or self.piece_count > PIECE_COUNT_MAX:
            raise BadGeometry(f"a file of {self.size_bytes} bytes in pieces of {self.piece_bytes}")

    @classmethod
    def of_size(cls, size_bytes: int) -> "Geometry":
        """The geometry this client chooses: a power of two near size/1000, from 256 KiB to 16 MiB."""
        wanted = max(1, size_bytes // PIECES_AIMED_AT)
        rounded = 1 << (wanted - 1).bit_length()
        return cls(size_bytes, min(max(rounded, PIECE_BYTES_MIN), PIECE_BYTES_MAX))

    @property
    def piece_count(self) -> int:
        return -(-self.size_bytes // self.piece_bytes)

    def check_piece(self, piece: int) -> int:
        """The index itself if the file has that piece; raises BadGeometry."""
        if not 0 <= piece < self.piece_count:
            raise BadGeometry(f"piece {piece} of {self.piece_count}")
        return piece

    def offset_of(self, piece: int) -> int:
        return piece * self.piece_bytes

    def length_of(self, piece: int) -> int:
        return min(self.piece_bytes, self.size_bytes - piece * self.piece_bytes)

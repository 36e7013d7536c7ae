"""A file of this client as a worker has it open: read to serve it, written to fetch it. A sink takes each piece.

Invariant: a complete file whose stamp is not that which it was shared with is not read from again. A file that is being
written changes its stamp all the time; there the have-bits alone say what may be served.
Not here: who may have it (gate), how it is mapped or written (storage.destination).
"""

import errno
import os

from engine.ipc.orders import AddFile
from engine.storage.destination import open_destination
from engine.storage.manifest import Leaves, piece_hasher
from engine.storage.piece_table import PieceTable
from engine.storage.stamp import Stamp
from engine.swarm.bitfield import Flags
from engine.swarm.geometry import Geometry
from engine.swarm.sender_choice import SentPieces

_HASH_BYTES = 1 << 20


class LocalFile:
    """Made from the coordinator's order; it takes the data descriptor over."""

    def __init__(self, order: AddFile, slot_count: int, table_descriptor: int, data_descriptor: int) -> None:
        """Raises OSError if the file cannot be mapped or is not as long as it should be."""
        self.file_id = order.file_id
        self.group_id = order.group_id
        self.root = order.root
        self.geometry = Geometry(order.size_bytes, order.piece_bytes)
        self._stamp = order.stamp
        self._pieces = PieceTable(table_descriptor, self.geometry.piece_count)
        self.sent = SentPieces(self._pieces.sent, self._pieces.sent_at_s, slot_count, order.piece_bytes)
        backend = "mapped" if order.backend == "mapped" else "pwrite"
        self._destination = open_destination(data_descriptor, order.size_bytes, backend)  # type: ignore[arg-type]

    @property
    def have(self) -> Flags:
        return self._pieces.have

    def verified(self) -> list[int]:
        """The pieces that can be served, ascending."""
        return self._pieces.verified()

    @property
    def leaves(self) -> Leaves:
        return self._pieces.leaves

    def settle(self, stamp: Stamp | None) -> None:
        """The file is complete: from now on it is checked by its stamp."""
        self._stamp = stamp

    def read(self, offset: int, length: int) -> memoryview | bytes:
        """Raises OSError if the file changed since it was shared."""
        self.descriptor()
        if self._stamp is None:
            return self._destination.view(offset, length)
        # A complete file is in its user's hands, who may truncate it under a view that waits to be sent.
        data = self._destination.read(offset, length)
        self.descriptor()  # an edit during the read: its bytes must not leave
        return data

    def descriptor(self) -> int:
        """For sendfile. Raises OSError if the file changed since it was shared."""
        descriptor = self._destination.fileno()
        if self._stamp is not None and Stamp.of(os.fstat(descriptor)) != self._stamp:
            raise OSError(errno.ESTALE, "the file was changed since it was shared")
        return descriptor

    def sink_for(self, piece: int, begin: int) -> "Sink":
        return Sink(self, piece, begin)

    def has_good(self, piece: int) -> bool:
        """Whether what is in the file at this piece's place matches its leaf. Raises OSError."""
        return bool(self.digest_of(piece, 0, self.geometry.length_of(piece)) == self.leaves[piece].tobytes())

    def digest_of(self, piece: int, begin: int, end: int) -> bytes:
        """The hash of a range of a piece as it is in the file. Raises OSError."""
        hasher, offset = piece_hasher(), self.geometry.offset_of(piece)
        for start in range(begin, end, _HASH_BYTES):
            hasher.update(self._destination.view(offset + start, min(_HASH_BYTES, end - start)))
        return hasher.digest()

    def write(self, offset: int, block: memoryview) -> None:
        self._destination.write(offset, block)

    def close(self) -> None:
        self._destination.close()


class Sink:
    """Takes the blocks of one piece: hashes each while it is in the cache, and writes it to its place."""

    def __init__(self, file: LocalFile, piece: int, begin: int) -> None:
        self._file = file
        self.piece = piece
        self._offset = file.geometry.offset_of(piece) + begin
        self._hasher = piece_hasher()

    def write(self, block: memoryview) -> None:
        """Raises OSError."""
        self._hasher.update(block)
        self.put(block)

    def put(self, block: memoryview) -> None:
        """Raises OSError."""
        self._file.write(self._offset, block)
        self._offset += len(block)

    def finish(self) -> bool:
        """Whether the piece matches its leaf."""
        return bool(self.digest() == self._file.leaves[self.piece].tobytes())

    def digest(self) -> bytes:
        """The hash of what was written."""
        return self._hasher.digest()

"""Hashes a run of pieces of a file, when a file is shared or checked again.

The file is read through a map, which needs no copy and is faster than reads into a buffer. The hash releases the
interpreter lock, so the worker's event loop goes on meanwhile. The length of the file is looked at before every piece;
a file that shrinks in the instant between ends this process, and the run goes to another (coordinator.hash_jobs).
"""

import errno
import mmap
import os

from engine.ipc.orders import HashPieces
from engine.storage.manifest import piece_hasher
from engine.swarm.geometry import Geometry

_STEP_BYTES = 1 << 20
"""How much is hashed before another thread may run."""


def hash_pieces(order: HashPieces, descriptor: int) -> bytes:
    """32 bytes for each piece. Raises OSError, also if the file is shorter than the order says."""
    geometry = Geometry(order.size_bytes, order.piece_bytes)
    leaves = bytearray()
    _check_length(descriptor, order.size_bytes)
    with mmap.mmap(descriptor, order.size_bytes, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
        for piece in range(order.first, order.first + order.count):
            _check_length(descriptor, order.size_bytes)
            begin, hasher = geometry.offset_of(piece), piece_hasher()
            end = begin + geometry.length_of(piece)
            for offset in range(begin, end, _STEP_BYTES):
                hasher.update(view[offset : min(offset + _STEP_BYTES, end)])
            leaves += hasher.digest()
    return bytes(leaves)


def _check_length(descriptor: int, size_bytes: int) -> None:
    if os.fstat(descriptor).st_size < size_bytes:
        raise OSError(errno.ESTALE, "the file became shorter while it was read")

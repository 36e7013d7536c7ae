"""Hashes a run of pieces of a file; the work behind sharing a file and behind re-checking one.

Read into one buffer that stays in the cache and survives a file that shrinks (a map would not); reading and hashing
both release the interpreter lock, so the worker's event loop goes on meanwhile.
"""

import errno
import os

from engine.storage.manifest import piece_hasher
from engine.swarm.geometry import Geometry
from engine.transfer.events import HashPieces

_STEP_BYTES = 1 << 20


def hash_pieces(order: HashPieces, descriptor: int) -> bytes:
    """32 bytes a piece. Raises OSError, also if the file is shorter than the order says."""
    geometry = Geometry(order.size_bytes, order.piece_bytes)
    leaves = bytearray()
    buffer = memoryview(bytearray(_STEP_BYTES))
    for piece in range(order.first, order.first + order.count):
        hasher = piece_hasher()
        offset, left = geometry.offset_of(piece), geometry.length_of(piece)
        while left:
            count = os.preadv(descriptor, [buffer[: min(left, _STEP_BYTES)]], offset)
            if not count:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            hasher.update(buffer[:count])
            offset, left = offset + count, left - count
        leaves += hasher.digest()
    return bytes(leaves)

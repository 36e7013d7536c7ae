"""The manifest of a file: its size, its piece size, and a BLAKE3 hash of each piece; one root hash names all of it.

    leaf = BLAKE3(piece)                          with its own derive-key context
    root = BLAKE3(size ‖ piece size ‖ leaves)     with another one

There are two contexts, so that no piece can pass for a list of leaves. The root is the id of a content everywhere; the
name is not part of it. xxh3 is not used here, since two pieces with the same xxh3-128 can be constructed
(Cyan4973/xxHash#1127); it is good against accidents on the own disk only.

Invariant: a `Manifest` object matches its root; a file of leaves from elsewhere becomes one only through `check`.
"""

import struct
from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from engine.errors import ShoalError
from engine.swarm.geometry import BadGeometry, Geometry

LEAF_BYTES = 32
ROOT_BYTES = 32
_PIECE_CONTEXT = "shoal 2026-11 piece v1"
_ROOT_CONTEXT = "shoal 2026-11 root v1"
_HEADER = struct.Struct("!QQ")

Leaves = NDArray[np.uint8]
"""shape (piece_count, 32)"""


class BadManifest(ShoalError):
    """Leaves that do not hash to their root, or sizes that cannot be."""

    code = "bad_manifest"


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """What a content is. `root` has 32 bytes."""

    geometry: Geometry
    leaves: Leaves
    root: bytes

    @classmethod
    def of_leaves(cls, geometry: Geometry, leaves: bytes) -> "Manifest":
        """From hashes that this client made itself, in the order of pieces."""
        array = np.frombuffer(leaves, np.uint8).reshape(-1, LEAF_BYTES)
        return cls(geometry, array, _root_of(geometry, leaves))

    @classmethod
    def check(cls, size_bytes: int, piece_bytes: int, leaves: bytes, root: bytes) -> "Manifest":
        """From a tracker or a file: raises BadManifest unless everything fits and hashes to `root`."""
        try:
            geometry = Geometry(size_bytes, piece_bytes)
        except BadGeometry as error:
            raise BadManifest(f"the manifest speaks of {error}; whoever published it is at fault") from error
        if len(leaves) != geometry.piece_count * LEAF_BYTES:
            raise BadManifest(f"{len(leaves)} bytes of hashes for {geometry.piece_count} pieces; not a valid manifest")
        if _root_of(geometry, leaves) != root:
            raise BadManifest("the manifest does not hash to its root: the tracker or the publisher is at fault")
        return cls.of_leaves(geometry, leaves)


def piece_hasher() -> blake3:
    """A fresh streaming hasher for one piece; its 32-byte digest is the leaf."""
    return blake3(derive_key_context=_PIECE_CONTEXT)


def _root_of(geometry: Geometry, leaves: bytes) -> bytes:
    hasher = blake3(derive_key_context=_ROOT_CONTEXT)
    hasher.update(_HEADER.pack(geometry.size_bytes, geometry.piece_bytes))
    hasher.update(leaves)
    return hasher.digest()

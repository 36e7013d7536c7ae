"""Which pieces of a part file are known to be good, durably.

Invariant (I3): a piece stands here only after its data was synced. The caller syncs the data file first and then calls
`save`, which replaces the journal by temp file, fsync and rename. A journal that is torn, of another file or of another
version does not load; then every piece is read and hashed again, and nothing is trusted.
"""

import os
from pathlib import Path

import msgspec
import numpy as np
import xxhash

from engine.storage.file_names import sync_folder
from engine.swarm.bitfield import Flags, pack
from engine.swarm.geometry import Geometry

_MAGIC = b"shoal journal v1\n"
_CHECK_BYTES = 16


class _Record(msgspec.Struct, frozen=True, array_like=True):
    root: bytes
    size_bytes: int
    piece_bytes: int
    is_clean: bool
    bitfield: bytes


def save(path: Path, root: bytes, geometry: Geometry, have: Flags, *, is_clean: bool) -> None:
    """Durable when it returns. `is_clean`: no piece beyond these was begun, so nothing else needs a look."""
    record = _Record(root, geometry.size_bytes, geometry.piece_bytes, is_clean, pack(have))
    payload = msgspec.msgpack.encode(record)
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        file.write(_MAGIC + xxhash.xxh3_128_digest(payload) + payload)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_folder(path.parent)


def load(path: Path, root: bytes, geometry: Geometry) -> tuple[Flags, bool] | None:
    """The pieces that can be trusted and whether the stop was clean; None if there is no journal of this file."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    checksum, payload = data[len(_MAGIC) :][:_CHECK_BYTES], data[len(_MAGIC) + _CHECK_BYTES :]
    if not data.startswith(_MAGIC) or xxhash.xxh3_128_digest(payload) != checksum:
        return None
    try:
        record = msgspec.msgpack.decode(payload, type=_Record)
    except msgspec.MsgspecError:
        return None
    expected = (root, geometry.size_bytes, geometry.piece_bytes, (geometry.piece_count + 7) // 8)
    if (record.root, record.size_bytes, record.piece_bytes, len(record.bitfield)) != expected:
        return None
    have = np.unpackbits(np.frombuffer(record.bitfield, np.uint8), count=geometry.piece_count)
    return have, record.is_clean

"""The journal of a part file: which of its pieces are known to be good, after a crash, too.

It is one file with two halves that are written in turn. Each half has the number of the save, the content it is about,
and a checksum. When a power cut tears one half, the other is left, which is older and names fewer pieces. The space of
both is reserved when the journal is made, so that a disk that fills up later cannot keep progress from being saved. (A
temporary file and a rename, the usual way, need new space and two more syncs each time.)

Invariant (I3): a piece is named here only after its data was synced; the caller syncs, then calls `save`. A journal
that is torn, or of another content, part file or version, is not loaded; then every piece that is there is hashed
again.
"""

import os
import struct
from pathlib import Path

import msgspec
import numpy as np
import xxhash

from engine.storage.allocation import allocate
from engine.storage.file_names import sync_folder
from engine.swarm.bitfield import Flags, pack
from engine.swarm.geometry import Geometry

_MAGIC = b"shoal journal 2\n"
_HEADER = struct.Struct("<16sQQ16s")
"""Magic, number of the save, length of the payload, xxh3-128 of number and payload."""
_NUMBER_MAX = 1 << 63
"""No journal is saved so often; a damaged one that says so would leave no room for the next number."""
_PAGE_BYTES = 4096
_PAYLOAD_OVERHEAD_BYTES = 256


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What the part file looked like at a save, to notice that it was replaced or edited since."""

    inode: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Mark":
        return cls(status.st_ino, status.st_mtime_ns)


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """One save. `is_clean`: no other piece was begun, so nothing else needs to be read. `bitfield`: as on the wire."""

    root: bytes
    size_bytes: int
    piece_bytes: int
    is_clean: bool
    mark: Mark
    bitfield: bytes

    def have(self, piece_count: int) -> Flags:
        """Shape (piece_count,), uint8."""
        return np.unpackbits(np.frombuffer(self.bitfield, np.uint8), count=piece_count)


class Journal:
    """The journal of one part file, used by one thread at a time."""

    def __init__(self, path: Path, root: bytes, geometry: Geometry) -> None:
        self._path, self._root, self._geometry = path, root, geometry
        self._bitfield_bytes = (geometry.piece_count + 7) // 8
        needed = _HEADER.size + _PAYLOAD_OVERHEAD_BYTES + self._bitfield_bytes
        self._slot_bytes = -(-needed // _PAGE_BYTES) * _PAGE_BYTES
        self._number = 0
        self._descriptor: int | None = None

    def load(self) -> Saved | None:
        """The last save that is whole; None if there is none for this content."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            slots = [os.pread(descriptor, self._slot_bytes, each * self._slot_bytes) for each in (0, 1)]
        except OSError:
            return None
        finally:
            os.close(descriptor)
        found = [each for each in map(self._read_slot, slots) if each is not None]
        if not found:
            return None
        self._number, saved = max(found, key=lambda each: each[0])
        return saved

    def save(self, have: Flags, mark: Mark, *, is_clean: bool) -> None:
        """Durable when it returns. Raises OSError."""
        if self._descriptor is None:
            self._descriptor = self._open()
        geometry, number = self._geometry, self._number + 1
        saved = Saved(self._root, geometry.size_bytes, geometry.piece_bytes, is_clean, mark, pack(have))
        payload = msgspec.msgpack.encode(saved)
        slot = _HEADER.pack(_MAGIC, number, len(payload), _checksum(number, payload)) + payload
        view, offset = memoryview(slot), number % 2 * self._slot_bytes
        while view:
            count = os.pwrite(self._descriptor, view, offset)
            view, offset = view[count:], offset + count
        os.fdatasync(self._descriptor)
        self._number = number

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o666)
        try:
            if not self._number:
                # Whatever else is in it must never win over what is saved now.
                os.ftruncate(descriptor, 0)
            allocate(descriptor, 2 * self._slot_bytes)
            os.fsync(descriptor)
            sync_folder(self._path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _read_slot(self, slot: bytes) -> tuple[int, Saved] | None:
        if len(slot) < _HEADER.size:
            return None
        magic, number, length, checksum = _HEADER.unpack_from(slot)
        payload = slot[_HEADER.size : _HEADER.size + length]
        is_whole = magic == _MAGIC and len(payload) == length and _checksum(number, payload) == checksum
        if not is_whole or number >= _NUMBER_MAX:
            return None
        try:
            saved = msgspec.msgpack.decode(payload, type=Saved)
        except msgspec.MsgspecError:
            return None
        geometry = self._geometry
        expected = (self._root, geometry.size_bytes, geometry.piece_bytes, self._bitfield_bytes)
        if (saved.root, saved.size_bytes, saved.piece_bytes, len(saved.bitfield)) != expected:
            return None
        return number, saved


def _checksum(number: int, payload: bytes) -> bytes:
    return xxhash.xxh3_128_digest(number.to_bytes(8, "little") + payload)

"""Which pieces of a part file are good when its download begins again: what the journal says, or what hashing finds.

Pieces in the journal are believed if a sample of them matches the manifest. So an exchanged disk, an editor or a copy
that went wrong is noticed at little cost, and then the journal is not believed at all. What is on the disk but not in
the journal is hashed: the last second before a crash, and everything where there is no journal. Ranges that were never
written are not read.

Invariant (I1): a piece is taken for good only if a synced journal names it, or after its hash was compared.
Not here: what becomes of the pieces (piece_store).
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from engine.coordinator.hash_jobs import HashJobs
from engine.storage.allocation import written_ranges
from engine.storage.journal import Saved
from engine.storage.manifest import Manifest
from engine.swarm.bitfield import Flags
from engine.swarm.geometry import Geometry

_SAMPLE_PIECES_MAX = 8
_SAMPLE_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """`doubt`: why a journal was there but not believed; None if it was, or there was none."""

    have: Flags
    doubt: str | None


async def recheck(
    descriptor: int,
    manifest: Manifest,
    saved: Saved | None,
    before: os.stat_result,
    hash_jobs: HashJobs,
    chance: random.Random,
    on_progress: Callable[[int, int], None],
) -> Found:
    """`before`: the part file's status before it was opened, which may have lengthened it. Raises StorageError."""
    count = manifest.geometry.piece_count
    have = np.zeros(count, np.uint8)
    doubt = None
    if saved is not None:
        doubt = _outer_doubt(saved, before)
        if doubt is None:
            have = saved.have(count)
            sample = _sample(have, manifest.geometry, chance)
            if not (await _matching(descriptor, manifest, sample, hash_jobs, None)).all():
                doubt, have = "its data does not match its journal", np.zeros(count, np.uint8)
    if saved is None or doubt is not None or not saved.is_clean:
        written = await asyncio.to_thread(_written_pieces, descriptor, manifest.geometry)
        open_pieces = np.flatnonzero(written & (have == 0))
        good = await _matching(descriptor, manifest, open_pieces.tolist(), hash_jobs, on_progress)
        have[open_pieces[good]] = 1
    return Found(have, doubt)


def _outer_doubt(saved: Saved, before: os.stat_result) -> str | None:
    if saved.mark.inode != before.st_ino:
        return "it is another file than the one its journal tells of"
    if before.st_size < saved.size_bytes:
        return "it was cut short"
    if saved.is_clean and saved.mark.mtime_ns != before.st_mtime_ns:
        return "it was changed since the download was paused"
    return None


def _sample(have: Flags, geometry: Geometry, chance: random.Random) -> list[int]:
    pieces = np.flatnonzero(have).tolist()
    count = max(1, min(_SAMPLE_PIECES_MAX, _SAMPLE_BYTES_MAX // geometry.piece_bytes))
    return sorted(chance.sample(pieces, min(count, len(pieces))))


async def _matching(
    descriptor: int,
    manifest: Manifest,
    pieces: Iterable[int],
    hash_jobs: HashJobs,
    on_progress: Callable[[int, int], None] | None,
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Shape (len(pieces),): whether each is on the disk as the manifest says."""
    chosen = list(pieces)
    leaves = await hash_jobs.hash_pieces(descriptor, manifest.geometry, chosen, on_progress)
    matching: np.ndarray[tuple[int], np.dtype[np.bool_]] = (leaves == manifest.leaves[chosen]).all(axis=1)
    return matching


def _written_pieces(descriptor: int, geometry: Geometry) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Shape (piece_count,): whether any byte of it was ever written."""
    written = np.zeros(geometry.piece_count, np.bool_)
    for begin, end in written_ranges(descriptor, geometry.size_bytes):
        written[begin // geometry.piece_bytes : -(-end // geometry.piece_bytes)] = True
    return written

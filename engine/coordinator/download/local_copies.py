"""Downloads of a content that this client has already, or is about to have: it is copied and verified, never fetched.

A swarm is of one content in one group (group, root); names only point to it. Of the downloads of one swarm one leads:
it fetches, and is what other members fetch from here. The others follow, and copy when it is done; if it ends without
the file, the next one leads. A complete file that is served here in any group is copied, too: groups decide
what may be asked of other members, not what this client may read on its own disk.

Invariant: at most one download of a swarm asks others for pieces; so no download waits for itself, and
`holding` says all that is announced of a swarm.
Not for: shares and their names (engine.client.sharing.shares), the course of a download (download_run).
"""

import asyncio
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from engine.coordinator.directory import Directory
from engine.coordinator.download.download import Download
from engine.coordinator.download.wanted_file import Swarm
from engine.coordinator.serving import Serving
from engine.swarm.geometry import Geometry

_COPY_BYTES = 16 << 20
"""At a time: a download that is cancelled waits for the end of that."""
_STEP_BYTES = 1 << 20


class Holding(NamedTuple):
    """How much of a file is here for others."""

    is_complete: bool
    has_pieces: bool


@dataclass(slots=True, eq=False)
class _Lead:
    download: Download
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class LocalCopies:
    """One per client."""

    def __init__(self, serving: Serving, directory: Directory) -> None:
        self._serving = serving
        self._directory = directory
        self._leads: dict[Swarm, _Lead] = {}
        self._tried: dict[int, set[int]] = {}

    def holding(self, group_id: str, root: bytes) -> Holding | None:
        """What members of the group find here; None if it is neither served nor fetched."""
        if self._serving.has(group_id, root):
            return Holding(is_complete=True, has_pieces=True)
        lead = self._leads.get((group_id, root))
        if lead is not None:  # announced as complete, it would be named no seeder by the trackers
            return Holding(is_complete=False, has_pieces=lead.download.verified_bytes > 0)
        if self._serving.is_suspended(group_id, root):
            return Holding(is_complete=True, has_pieces=True)
        return None

    def swarms(self) -> set[Swarm]:
        """All of which something is served or fetched."""
        return self._serving.swarms() | self._leads.keys()

    def enter(self, download: Download) -> None:
        """It begins; it leads if no other does."""
        self._leads.setdefault(download.wanted.swarm, _Lead(download))
        self._tried[download.wanted.file_id] = set()

    def leave(self, download: Download) -> None:
        """It is over; a download that follows it looks again."""
        self._tried.pop(download.wanted.file_id, None)
        self._resign(download)

    def stand_aside(self, download: Download) -> None:
        """It cannot go on for a while."""
        self._resign(download)
        self._directory.holding_changed(*download.wanted.swarm)

    def _resign(self, download: Download) -> None:
        lead = self._leads.get(download.wanted.swarm)
        if lead is not None and lead.download is download:
            del self._leads[download.wanted.swarm]
            lead.is_over.set()

    async def lead(self, download: Download) -> None:
        """Returns when no other download of this swarm is under way."""
        while (lead := self._leads.get(download.wanted.swarm)) is not None and lead.download is not download:
            download.follow(lead.download)
            await lead.is_over.wait()
        if lead is None:
            self._leads[download.wanted.swarm] = _Lead(download)
            self._directory.holding_changed(*download.wanted.swarm)

    def is_here(self, download: Download) -> bool:
        """Whether there is a complete file with this content that was not copied from in vain."""
        return self._serving.find_same(download.wanted.swarm[1], self._tried[download.wanted.file_id]) is not None

    async def copy(self, download: Download) -> None:
        """Fill in what is missing from the complete files that are here. What does not match is still missing
        afterwards. Raises StorageError, OSError of writing.
        """
        tried = self._tried[download.wanted.file_id]
        while (pieces := download.store.missing_pieces()) and (
            number := self._serving.find_same(download.wanted.swarm[1], tried)
        ) is not None:
            tried.add(number)
            source, path = self._serving.duplicate(number)
            try:
                await _copy_pieces(download, source, path, pieces)
                await download.adopt(pieces, path)
            finally:
                os.close(source)


async def _copy_pieces(download: Download, source: int, path: str, pieces: Sequence[int]) -> None:
    geometry = download.wanted.manifest.geometry
    done_bytes, total_bytes = 0, sum(geometry.length_of(piece) for piece in pieces)
    download.copies(path, 0, total_bytes)
    for begin, end in _ranges(geometry, pieces):
        # Not to be interrupted: both descriptors have to stay what they are while a thread works with them.
        copying = asyncio.ensure_future(asyncio.to_thread(copy_range, source, download.store.descriptor, begin, end))
        try:
            await asyncio.shield(copying)
        except asyncio.CancelledError:
            await asyncio.wait({copying})
            raise
        done_bytes += end - begin
        download.copies(path, done_bytes, total_bytes)


def copy_range(source: int, target: int, begin: int, end: int) -> None:
    """By the kernel, which may share the blocks instead, or by hand where it cannot. A source that became shorter or
    cannot be read ends it: what is not copied does not match. Raises OSError of writing.
    """
    while begin < end:
        try:
            count = os.copy_file_range(source, target, end - begin, begin, begin)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            count = os.pwrite(target, _read(source, begin, min(end - begin, _STEP_BYTES)), begin)
        if not count:
            return
        begin += count


def _read(source: int, begin: int, length: int) -> bytes:
    try:
        return os.pread(source, length, begin)
    except OSError:
        return b""


def _ranges(geometry: Geometry, pieces: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(begin, end) of the bytes of rising `pieces`, neighbours together."""
    for run in np.split(np.asarray(pieces), np.flatnonzero(np.diff(pieces) != 1) + 1):
        first, last = int(run[0]), int(run[-1])
        end = geometry.offset_of(last) + geometry.length_of(last)
        for begin in range(geometry.offset_of(first), end, _COPY_BYTES):
            yield begin, min(begin + _COPY_BYTES, end)

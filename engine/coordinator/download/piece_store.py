"""Where the pieces of one download are kept until it is complete: the part file, its journal, the have-bitfield.

Invariant (I1, I6): a have-bit is set here and nowhere else: when a piece was read back and matched, or when a worker
reported that the bytes are in the file and matched. The journal and the announcement to others follow it, never lead.
Not here: whom to ask for what is missing (fetching), in which state the download is (download).
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.coordinator.download.checkpoints import Checkpoints
from engine.coordinator.download.recheck import recheck
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.hash_jobs import HashJobs
from engine.errors import StorageError
from engine.ipc import orders
from engine.settings import Settings
from engine.storage import file_names
from engine.storage.destination import backend_for
from engine.storage.journal import Journal
from engine.storage.part_file import PartFiles, can_write_beside
from engine.storage.piece_table import PieceTable
from engine.storage.stamp import Stamp

_ROOM_LOOK_S = 1.0


class PieceStore:
    """Holds the lock on the part file until `close` or `hand_over`."""

    def __init__(self, wanted: WantedFile, settings: Settings, part_files: PartFiles) -> None:
        """Opens the part file. Raises StorageError."""
        self._wanted, self._settings, self._part_files = wanted, settings, part_files
        manifest, target = wanted.manifest, wanted.target
        self._geometry = manifest.geometry
        self.part = file_names.part_path(target, manifest.root)
        self._journal_path = file_names.journal_path(self.part)
        self._before = _status_of(self.part)
        self._journal = Journal(self._journal_path, manifest.root, self._geometry)
        self.descriptor = part_files.open(self.part, self._geometry.size_bytes)
        if self._before is None:
            with contextlib.suppress(OSError):  # it is not believed in any case: another part file's marks are in it
                self._journal_path.unlink()  # of data that is gone
        self._backend = backend_for(target.parent)
        try:
            self.shared, self.shared_descriptor = PieceTable.create(self._geometry.piece_count)
        except StorageError:
            part_files.close(self.descriptor)
            raise
        self.shared.leaves[:] = manifest.leaves
        self.goes_on = False
        """Whether a journal of an earlier run was there."""
        self._is_doubted = False
        self.checkpoints = Checkpoints(self._journal, self.descriptor, self.shared.have, settings)

    # ------------------------------------------------------------ which pieces are here

    async def check(
        self, hash_jobs: HashJobs, chance: random.Random, on_progress: Callable[[int, int], None]
    ) -> str | None:
        """Find out which pieces are on the disk already. Returns why a journal was not believed, if so. No worker may
        have the file meanwhile. Raises StorageError.
        """
        is_believed, self._is_doubted = self._before is not None and not self._is_doubted, False
        saved = self._journal.load() if is_believed else None
        self.goes_on, doubt = saved is not None, None
        if self._before is not None:
            found = await recheck(
                self.descriptor, self._wanted.manifest, saved, self._before, hash_jobs, chance, on_progress
            )
            self.shared.have[:], doubt = found.have, found.doubt
        self._before = os.fstat(self.descriptor)
        return doubt

    async def adopt(self, pieces: Sequence[int], hash_jobs: HashJobs, on_progress: Callable[[int, int], None]) -> bool:
        """These pieces were copied into the part file: those that match are had from now on. Returns whether any did.
        No worker may have the file meanwhile.
        """
        leaves = await hash_jobs.hash_pieces(self.descriptor, self._geometry, pieces, on_progress)
        chosen = np.asarray(pieces)
        good = chosen[(leaves == self._wanted.manifest.leaves[chosen]).all(axis=1)]
        self.shared.have[good] = 1
        return len(good) > 0

    def gain(self, piece: int) -> int:
        """A worker verified it; returns its length. The one place where a have-bit is set while pieces are fetched."""
        self.shared.have[piece] = 1
        length = self._geometry.length_of(piece)
        self.checkpoints.grew(self._geometry.offset_of(piece), length)
        return length

    def missing_pieces(self) -> list[int]:
        """Ascending."""
        pieces: list[int] = np.flatnonzero(self.shared.have == 0).tolist()
        return pieces

    def count_verified_bytes(self) -> int:
        return sum(map(self._geometry.length_of, np.flatnonzero(self.shared.have).tolist()))

    async def is_changed(self, piece: int, hash_jobs: HashJobs) -> bool:
        """Whether a piece that was verified does not match any more. Raises StorageError."""
        (found,) = await hash_jobs.hash_pieces(self.descriptor, self._geometry, [piece])
        return bool(self.shared.have[piece]) and bytes(found) != self._wanted.manifest.leaves[piece].tobytes()

    # ------------------------------------------------------------ what may happen to the part file

    def look_at_part(self) -> None:
        """Raises StorageError if the part file was deleted, exchanged or cut."""
        named, ours = _status_of(self.part), os.fstat(self.descriptor)
        what, remedy = None, "download it again"
        if named is None and ours.st_nlink:
            what, remedy = "moved away", "put it back, and download_file goes on with it, or download it again"
        elif named is None:
            what = "deleted"
        elif (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            what = "replaced by another file"
        elif ours.st_size < self._geometry.size_bytes:
            what = "cut short"
        if what is not None:
            self._journal_path.unlink(missing_ok=True)  # it speaks of data that is not there any more
            raise StorageError(
                f"{self.part} was {what} while {self._wanted.name} was fetched into it; {remedy}", "part_gone"
            )

    async def wait_for_room(self) -> None:
        """The file system is full. Returns when there is enough space for the rest. Raises StorageError."""
        self._part_files.wait_for_room(self.descriptor)
        while True:
            await asyncio.sleep(_ROOM_LOOK_S)
            self.look_at_part()
            is_writable = await asyncio.to_thread(can_write_beside, self.part)
            if is_writable and self._part_files.can_go_on(self.descriptor):
                break
        self._begin_checkpoints()

    def distrust(self) -> None:
        """Verified bytes are others now: `check` does not believe the journal, and hashes all of the part file."""
        self._is_doubted = True
        self._begin_checkpoints()

    def _begin_checkpoints(self) -> None:
        self.checkpoints.close()
        self.checkpoints = Checkpoints(self._journal, self.descriptor, self.shared.have, self._settings)

    # ------------------------------------------------------------ to the workers, and the end

    def as_order(self, stamp: Stamp | None = None) -> orders.AddFile:
        """What a worker needs to fetch and serve it; with the marks of the finished file, only to serve it."""
        return orders.AddFile(
            self._wanted.file_id, *self._wanted.swarm, self._geometry.size_bytes, self._geometry.piece_bytes,
            self._backend, stamp,
        )  # fmt: skip

    def install(self) -> Stamp:
        """All pieces are there: make them durable and give the file its name; returns the marks it has from now on.

        Blocking; raises StorageError, OSError.
        """
        os.fsync(self.descriptor)
        self.look_at_part()
        file_names.install(self.part, self._wanted.target)
        self._journal_path.unlink(missing_ok=True)
        self._journal.close()
        return Stamp.of(os.fstat(self.descriptor))

    def close(self) -> None:
        """Release the descriptors, and with them the lock on the part file."""
        self._journal.close()
        self.checkpoints.close()
        self._part_files.close(self.descriptor)
        os.close(self.shared_descriptor)

    def hand_over(self) -> tuple[int, int]:
        """The descriptors of the piece table and of the finished file, which are the caller's from now on."""
        self.checkpoints.close()
        return self.shared_descriptor, self._part_files.release(self.descriptor)


def _status_of(path: Path) -> os.stat_result | None:
    """None if there is nothing, or nothing that can be looked at."""
    try:
        return path.lstat()
    except OSError:
        return None

"""One download as long as the client knows of it: which file, in which state, how far it is, and who has it.

States:

    following → checking → copying → waiting ⇄ downloading → finishing → complete     (paused, failed, cancelled
        ↑________________________________ no_space ←__|__________|                              end it early)

It follows while another download of the same content in the same group is under way here; what is on this disk
already is copied (local_copies).

Each part of it has one owner: the bytes on the disk `store`, state and figures `progress`, the peers `peer_book`, and
what is asked of them `fetching`, which is there only once the workers have the file.
Not here: in which order things happen (download_run).
"""

import os
import random
import time
from collections.abc import Iterable, Sequence

from engine.coordinator.download.blame import Blame
from engine.coordinator.download.fetching import Fetching
from engine.coordinator.download.peer_book import PeerBook
from engine.coordinator.download.piece_store import PieceStore
from engine.coordinator.download.progress import Progress
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.peer_links import PeerAddress
from engine.coordinator.services import Services
from engine.errors import ShoalError, StorageError
from engine.reports import DownloadState

UNDER_WAY = frozenset({"following", "checking", "copying", "waiting", "downloading", "no_space", "finishing"})
"""States that end by themselves."""


class Download:
    """All methods are called on the coordinator's loop."""

    def __init__(self, wanted: WantedFile, services: Services, peers: Iterable[PeerAddress] = ()) -> None:
        """Opens the part file; raises StorageError. `peers`: those that are known already."""
        self.wanted = wanted
        self.store = PieceStore(wanted, services.settings, services.part_files)
        self.progress = Progress(time.monotonic())
        self.peer_book = PeerBook(peers)
        self.fetching: Fetching | None = None
        self.error: ShoalError | None = None
        self.copied_from: str | None = None
        self._services = services
        self._blame = Blame(wanted, self.peer_book, services)
        self._chance = random.Random(os.urandom(8))

    # ------------------------------------------------------------ what is on this disk

    async def check(self) -> str | None:
        """Find out what is good of what is there already; it is not fetched again. Returns why a journal was not
        believed, if so. No worker may have the file meanwhile.
        """
        self._work_alone("checking", None)
        doubt = await self.store.check(self._services.hash_jobs, self._chance, self.progress.has_checked)
        self.progress.counted(self.store.count_verified_bytes())
        return doubt

    def follow(self, leader: "Download") -> None:
        """Another download is about to bring the same content."""
        self._work_alone("following", str(leader.wanted.target))

    def copies(self, source: str, done_bytes: int, total_bytes: int) -> None:
        """So much of what is missing was copied from there."""
        self._work_alone("copying", source)
        self.progress.has_checked(done_bytes, total_bytes)

    async def adopt(self, pieces: Sequence[int], source: str) -> None:
        """These were copied into the part file: what matches is had from now on. No worker has the file meanwhile."""
        self._work_alone("checking", self.copied_from)
        is_any_good = await self.store.adopt(pieces, self._services.hash_jobs, self.progress.has_checked)
        self.copied_from = source if is_any_good else None
        self.progress.counted(self.store.count_verified_bytes())

    def _work_alone(self, state: DownloadState, copied_from: str | None) -> None:
        """Reports of earlier work of the workers mean nothing any more."""
        self.fetching, self.copied_from = None, copied_from
        self.enter(state)

    # ------------------------------------------------------------ from one state to the next

    def begin_fetching(self) -> Fetching:
        """What is still missing is asked of others from now on."""
        self.fetching = Fetching(
            self.wanted, self.store, self.progress, self.peer_book, self._blame, self._services, self._chance
        )
        return self.fetching

    async def wait_for_room(self, error: StorageError) -> None:
        """It ran out of space, `error` says where. Returns when there is enough for the rest of it."""
        self.end("no_space", error)
        await self.store.wait_for_room()
        self.error = None

    def enter(self, state: DownloadState) -> None:
        self.progress.enter(state, time.monotonic())

    def end(self, state: DownloadState, error: ShoalError | None = None) -> None:
        """It ended so. The descriptors are still open."""
        self.enter(state)
        self.error = error

    # ------------------------------------------------------------ what it looks like from outside

    @property
    def state(self) -> DownloadState:
        return self.progress.state

    @property
    def verified_bytes(self) -> int:
        return self.progress.verified_bytes

    @property
    def is_active(self) -> bool:
        return self.state in UNDER_WAY

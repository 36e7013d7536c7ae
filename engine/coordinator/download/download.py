"""One file being fetched: its part file, its have-bitfield, and what the pool's news mean for it.

It sequences and keeps count; which piece to ask of whom is the scheduler's, which links exist the coordinator's.
States:

    following → checking → copying → waiting ⇄ downloading → finishing → complete     (paused, failed, cancelled
        ↑________________________________ no_space ←__|__________|                              end it early)

It follows while another download of the same content in the same group is under way here; what is on this disk
already is copied (local_copies).

Invariant (I1, I6): a have-bit is set here and nowhere else, when a worker reported that the bytes are in the file and
matched; the journal and the announcement to others follow it, never lead.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from engine.coordinator.download.action_orders import order_for
from engine.coordinator.download.checkpoints import Checkpoints
from engine.coordinator.download.peer_book import PeerBook
from engine.coordinator.download.progress import Progress
from engine.coordinator.download.recheck import recheck
from engine.coordinator.hash_jobs import HashJobs
from engine.coordinator.peer_links import PeerLink
from engine.errors import ShoalError, StorageError
from engine.ipc import orders, reports
from engine.reports import DownloadState
from engine.settings import Settings
from engine.storage import file_names
from engine.storage.destination import backend_for
from engine.storage.journal import Journal
from engine.storage.manifest import Manifest
from engine.storage.part_file import PartFiles, can_write_beside
from engine.storage.piece_table import PieceTable
from engine.storage.stamp import Stamp
from engine.swarm.bitfield import Bitfield
from engine.swarm.scheduler import Scheduler

UNDER_WAY = frozenset(
    {"following", "checking", "copying", "waiting", "downloading", "no_space", "finishing"}
)
"""States that end by themselves."""
Swarm = tuple[str, bytes]
"""(group, root)"""

PART_CHANGED = "part_changed"
_ROOM_LOOK_S = 1.0
_ALONE_AFTER_S = 3.0
"""With nothing to ask of anyone for so long, a download is said to be waiting for somebody."""


class Download:
    """State of one download. All methods are called on the coordinator's loop."""

    def __init__(
        self,
        file_id: int,
        group_id: str,
        name: str,
        target: Path,
        manifest: Manifest,
        settings: Settings,
        request_ids: Iterator[int],
        part_files: PartFiles,
    ) -> None:
        """Opens the part file; raises StorageError. `target`: the final absolute path."""
        self.file_id, self.group_id, self.name, self.target = file_id, group_id, name, target
        self.manifest = manifest
        self.peer_book = PeerBook()
        self.progress = Progress(time.monotonic())
        self.ticket = ""
        self.is_open = False
        self.news = asyncio.Event()
        self.error: ShoalError | None = None
        self.verdict: ShoalError | None = None  # why it is ended from outside, if not for a pause
        self.copied_from: str | None = None
        self._settings, self._request_ids = settings, request_ids
        geometry = manifest.geometry
        self.part = file_names.part_path(target, manifest.root)
        self._journal_path = file_names.journal_path(self.part)
        self._before = _status_of(self.part)
        self._journal = Journal(self._journal_path, manifest.root, geometry)
        self._part_files = part_files
        self.descriptor = part_files.open(self.part, geometry.size_bytes)
        if self._before is None:
            with contextlib.suppress(OSError):  # it is not believed in any case: another part file's marks are in it
                self._journal_path.unlink()  # of data that is gone
        self._backend = backend_for(target.parent)
        try:
            self.shared, self.shared_descriptor = PieceTable.create(geometry.piece_count)
        except StorageError:
            part_files.close(self.descriptor)
            raise
        self.shared.leaves[:] = manifest.leaves
        self.goes_on = False
        self._asked_at_s = time.monotonic()
        self._unannounced: list[int] = []
        self._open_on: dict[int, bytes] = {}
        self._is_doubted = False
        self.checkpoints = Checkpoints(self._journal, self.descriptor, self.shared.have, settings)
        self._chance = random.Random(os.urandom(8))
        self._users: dict[int, str] = {}  # also of links that are gone: parts of pieces outlive them

    @property
    def swarm(self) -> Swarm:
        return self.group_id, self.manifest.root

    # ------------------------------------------------------------ before and after

    async def check(self, hash_jobs: HashJobs) -> str | None:
        """Find out what is good of what is there already; it is not fetched again. Returns why a journal was not
        believed, if so. No worker may have the file meanwhile.
        """
        self.state, self.copied_from = "checking", None
        is_believed, self._is_doubted = self._before is not None and not self._is_doubted, False
        saved = self._journal.load() if is_believed else None
        self.goes_on, doubt = saved is not None, None
        if self._before is not None:
            found = await recheck(
                self.descriptor, self.manifest, saved, self._before, hash_jobs, self._chance, self.progress.has_checked
            )
            self.shared.have[:], doubt = found.have, found.doubt
        self._before = os.fstat(self.descriptor)
        self._count_verified()
        return doubt

    def follow(self, leader: "Download") -> None:
        """Another download is about to bring the same content."""
        self.state, self.copied_from = "following", str(leader.target)

    def missing_pieces(self) -> list[int]:
        """Ascending."""
        pieces: list[int] = np.flatnonzero(self.shared.have == 0).tolist()
        return pieces

    def copies(self, source: str, done_bytes: int, total_bytes: int) -> None:
        self.state, self.copied_from = "copying", source
        self.progress.has_checked(done_bytes, total_bytes)

    async def adopt(self, pieces: Sequence[int], hash_jobs: HashJobs, source: str) -> None:
        """These were copied into the part file: what matches is had from now on. No worker has the file meanwhile."""
        self.state = "checking"
        leaves = await hash_jobs.hash_pieces(self.descriptor, self.manifest.geometry, pieces, self.progress.has_checked)
        chosen = np.asarray(pieces)
        good = chosen[(leaves == self.manifest.leaves[chosen]).all(axis=1)]
        self.shared.have[good] = 1
        self.copied_from = source if len(good) else None
        self._count_verified()

    def begin_fetching(self) -> None:
        """What is still missing is asked of others from now on."""
        geometry, have = self.manifest.geometry, self.shared.have
        self.scheduler = Scheduler(geometry, have, self._settings, self._chance, self._request_ids)
        self.state = "downloading"

    def _count_verified(self) -> None:
        geometry, pieces = self.manifest.geometry, np.flatnonzero(self.shared.have).tolist()
        self.progress.verified_bytes = sum(map(geometry.length_of, pieces))

    def look_at_part(self) -> None:
        """Raises StorageError if somebody deleted, exchanged or cut the part file."""
        named, ours = _status_of(self.part), os.fstat(self.descriptor)
        what, remedy = None, "download it again"
        if named is None and ours.st_nlink:
            what, remedy = "moved away", "put it back, and download_file goes on with it, or download it again"
        elif named is None:
            what = "deleted"
        elif (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            what = "replaced by another file"
        elif ours.st_size < self.manifest.geometry.size_bytes:
            what = "cut short"
        if what is not None:
            self._journal_path.unlink(missing_ok=True)  # it speaks of data that is not there any more
            raise StorageError(
                f"{self.part} was {what} while {self.name} was fetched into it; {remedy}", "part_gone"
            )

    def install(self) -> Stamp:
        """All pieces are there: make them durable and give the file its name; returns the marks it has from now on.

        Blocking; raises StorageError, OSError.
        """
        os.fsync(self.descriptor)
        self.look_at_part()
        file_names.install(self.part, self.target)
        self._journal_path.unlink(missing_ok=True)
        self._journal.close()
        return Stamp.of(os.fstat(self.descriptor))

    async def wait_for_room(self, error: StorageError) -> None:
        """It ran out of space, `error` says where. Returns when there is enough for the rest of it."""
        self.state, self.error = "no_space", error
        self._part_files.wait_for_room(self.descriptor)
        while True:
            await asyncio.sleep(_ROOM_LOOK_S)
            self.look_at_part()
            is_writable = await asyncio.to_thread(can_write_beside, self.part)
            if is_writable and self._part_files.can_go_on(self.descriptor):
                break
        self._begin_checkpoints()
        self.error = None

    def distrust(self) -> None:
        """Somebody changed what was verified: the journal is not believed, and all of the part file is hashed."""
        self._is_doubted = True
        self._begin_checkpoints()
        self.error = None

    def _begin_checkpoints(self) -> None:
        self.checkpoints.close()
        self.checkpoints = Checkpoints(self._journal, self.descriptor, self.shared.have, self._settings)

    def fail(self, error: ShoalError) -> None:
        """It cannot go on; whoever runs it is woken up to end it."""
        self.error = self.error or error
        self.news.set()

    def end(self, state: DownloadState, error: ShoalError | None = None) -> None:
        """It ended so. The descriptors are still open."""
        self.state, self.error = state, error

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

    def as_order(self, stamp: Stamp | None = None) -> orders.AddFile:
        """What a worker needs to fetch and serve it; with the marks of the finished file, only to serve it."""
        geometry = self.manifest.geometry
        return orders.AddFile(
            self.file_id, self.group_id, self.manifest.root, geometry.size_bytes, geometry.piece_bytes,
            self._backend, stamp,
        )  # fmt: skip

    # ------------------------------------------------------------ news

    def opened(self, link: PeerLink, bitfield: bytes) -> None:
        self.scheduler.link_opened(link.link_id, Bitfield(self.manifest.geometry.piece_count, bitfield))
        self._open_on[link.link_id] = link.peer.thumbprint
        self._users[link.link_id] = link.peer.user_id
        self.peer_book.answers.opened(link.peer.thumbprint)
        self.peer_book.reached(link.peer)
        if self.peer_book.peer_exchange.proved(link.peer):
            self.peer_book.peers[link.peer.thumbprint] = link.peer

    def is_open_on(self, link: PeerLink) -> bool:
        """Whether the peer at the other end has proven itself and serves this file."""
        return link.link_id in self._open_on

    def has(self, link: PeerLink, pieces: tuple[int, ...]) -> bool:
        """Whether something may follow from it."""
        return self.scheduler.link_has(link.link_id, pieces)

    def lost(self, link: PeerLink) -> None:
        """Also when the peer closed just this file."""
        self.scheduler.link_lost(link.link_id)
        was_open = self._open_on.pop(link.link_id, None) is not None
        if was_open or not link.is_hint:  # what a peer says of another may be wrong, and is not held against that one
            self.peer_book.answers.ended(link.peer.thumbprint, was_open=was_open)
        self.peer_book.peer_exchange.failed(link.peer, time.monotonic())

    def granted(self, news: reports.PieceGranted) -> None:
        self.scheduler.granted(news.request_id, news.piece, news.at_s)

    def verified(self, link: PeerLink, news: reports.PieceVerified) -> None:
        piece = self.scheduler.verified(news.request_id, news.at_s)
        self.peer_book.answers.gave(link.peer.thumbprint)
        if piece is not None:
            self.progress.bytes_by_peer[link.peer.user_id] += self._gain(piece)

    def _gain(self, piece: int) -> int:
        """The one place where a have-bit is set during a download; returns the piece's length."""
        self.shared.have[piece] = 1
        length = self.manifest.geometry.length_of(piece)
        self.progress.verified_bytes += length
        self._unannounced.append(piece)
        self.checkpoints.grew(self.manifest.geometry.offset_of(piece), length)
        return length

    def endgame_news(self, news: reports.OfEndgame) -> list[tuple[int, str]]:
        """Returns the links, and their accounts, that are proved to have brought wrong bytes."""
        match news:
            case reports.RequestCut():
                self.scheduler.was_cut(news.request_id, news.at)
            case reports.PartReceived():
                self.scheduler.part_received(news.request_id, news.digest, news.at_s)
            case reports.ScratchReady():
                self.scheduler.scratch_ready(news.request_id, news.at_s)
            case reports.PartsChecked():
                parts = self.scheduler.checked(news.piece, news.is_good)
                if parts:
                    self._gain(news.piece)
                for link, count in parts:
                    self.progress.bytes_by_peer[self._users[link]] += count
                    if link in self._open_on:
                        self.peer_book.answers.gave(self._open_on[link])
            case reports.RangesHashed():
                return [(link, self._users[link]) for link in self.scheduler.compared(news.piece, news.digests)]
            case reports.Wasted():
                self.progress.wasted_bytes += news.count
        return []

    def next_orders(self, now_s: float) -> Iterator[tuple[int | None, orders.AnyOrder]]:
        """(link id, order) for everything the scheduler wants now; None: any worker will do."""
        for action in self.scheduler.next_actions(now_s):
            yield order_for(action, self.file_id)

    def take_unannounced(self) -> tuple[int, ...]:
        """Pieces gained since the last call, for those who fetch from us."""
        pieces, self._unannounced = tuple(self._unannounced), []
        return pieces

    def owners_of(self, pieces: tuple[int, ...]) -> tuple[bytes, ...]:
        """The keys of the peers that are seen to have all of these."""
        return tuple({key for link, key in self._open_on.items() if self.scheduler.is_seen_to_have(link, pieces)})

    # ------------------------------------------------------------ what it looks like from outside

    def tick(self, now_s: float) -> None:
        """Called a few times a second: state and rate follow what happened."""
        if self.scheduler.is_asking:
            self._asked_at_s = now_s
        is_alone = (self.peer_book.has_looked and not self.peer_book.peers) or now_s - self._asked_at_s > _ALONE_AFTER_S
        if self.state == "downloading" and is_alone and not self.scheduler.is_asking:
            self.progress.enter("waiting", self._asked_at_s)
        elif self.state == "waiting" and self.scheduler.is_asking:
            self.progress.enter("downloading", now_s)
        self.progress.tick(now_s)

    @property
    def state(self) -> DownloadState:
        return self.progress.state

    @state.setter
    def state(self, state: DownloadState) -> None:
        self.progress.enter(state, time.monotonic())

    @property
    def verified_bytes(self) -> int:
        return self.progress.verified_bytes

    @property
    def is_fetching(self) -> bool:
        """Whether links may carry it."""
        return self.state in ("waiting", "downloading")

    @property
    def is_active(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def is_prepared(self) -> bool:
        """Whether there is a scheduler that news can be for."""
        return self.state not in ("following", "checking", "copying")

    def waited_s(self, now_s: float) -> float:
        """For how long there has been nothing to ask of anyone."""
        return now_s - self._asked_at_s

    def connected_peers(self) -> set[bytes]:
        """Thumbprints of those that have the file open for us. Several links may lead to one."""
        return set(self._open_on.values())


def _status_of(path: Path) -> os.stat_result | None:
    """None if there is nothing, or nothing that can be looked at."""
    try:
        return path.lstat()
    except OSError:
        return None

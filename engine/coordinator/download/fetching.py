"""One download while its pieces are asked of others: what the workers report of it, and what follows from that.

It exists from the moment the workers are given the file; so there is no scheduler before one may be asked. A report
comes in by `handle` and goes to whom it concerns: the scheduler (what to ask of whom), the piece store (a piece is
right), the peer book and `Blame` (what a peer did). What the scheduler wants then leaves by `send_orders`.

Invariant: after `close` no link has the file open, and no order leaves.
Not here: which links there should be (download_links), the course from beginning to end (download_run).
"""

import asyncio
import contextlib
import random
import time

from engine.coordinator.download.blame import Blame
from engine.coordinator.download.download_links import DownloadLinks
from engine.coordinator.download.peer_book import PeerBook
from engine.coordinator.download.piece_store import PieceStore
from engine.coordinator.download.progress import Progress
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.peer_links import PeerAddress, PeerLink
from engine.coordinator.services import Services
from engine.errors import Cause, ShoalError, StorageError
from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.storage.disk_errors import explained
from engine.swarm.actions import Action, Ask, CheckPiece, CompareParts, Cut, Keep, Revoke
from engine.swarm.bitfield import BadBitfield, Bitfield
from engine.swarm.scheduler import Scheduler
from engine.swarm.source import LinkSnapshot
from engine.wire.messages import REREADING

OfLink = (
    reports.ChannelOpened | reports.ChannelRefused | reports.MismatchSent | reports.PeerHas | reports.PeersNamed
    | reports.PieceGranted | reports.PieceVerified | reports.PieceMismatched | reports.RequestRejected
)  # fmt: skip
"""Reports that mean something only while the link carries the file."""
OfFile = (
    reports.RequestRevoked | reports.RequestCut | reports.PartReceived | reports.ScratchReady | reports.PartsChecked
    | reports.RangesHashed | reports.Wasted | reports.WriteFailed | reports.FileUnreadable
)  # fmt: skip
"""Reports that count whatever became of the link."""

PART_CHANGED = "part_changed"
NOTHING_FOLLOWS = False
"""What `handle` returns if nothing is to be asked for or taken back because of the report."""
_ALONE_AFTER_S = 3.0
"""With nothing to ask of anyone for so long, a download is said to be waiting."""
_OLD_TICKET = ("old_ticket", "bad_ticket")
"""Codes of refusals that another ticket may mend."""


class Fetching:
    """Ended by `close`. `failure`: why it cannot go on. `stirred` is set when it is complete or failed."""

    _handlers = Handlers()

    def __init__(
        self,
        wanted: WantedFile,
        store: PieceStore,
        progress: Progress,
        peer_book: PeerBook,
        blame: Blame,
        services: Services,
        chance: random.Random,
    ) -> None:
        """Gives the file to the workers."""
        self._wanted, self._store, self._progress = wanted, store, progress
        self._peer_book, self._blame, self._services = peer_book, blame, services
        self.links = DownloadLinks(wanted, peer_book, services)
        self.scheduler = Scheduler(
            wanted.manifest.geometry, store.shared.have, services.settings, chance, services.request_ids
        )
        self.failure: ShoalError | None = None
        self.stirred = asyncio.Event()
        self.is_closed = False
        self._open_on: dict[int, PeerLink] = {}
        self._users: dict[int, str] = {}  # also of links that are gone: parts of pieces outlive them
        self._unannounced: list[int] = []
        self._asked_at_s = time.monotonic()
        progress.enter("downloading", self._asked_at_s)
        services.pool.send_all(store.as_order(), [store.shared_descriptor, store.descriptor])

    @property
    def is_over(self) -> bool:
        """Whether every piece is here, or it cannot go on."""
        return self.scheduler.is_complete or self.failure is not None

    @property
    def has_links(self) -> bool:
        """Whether the file is open on any, so that pieces may move."""
        return bool(self._open_on)

    def fail(self, error: ShoalError) -> None:
        """It cannot go on. The first error counts."""
        self.failure = self.failure or error
        self.stirred.set()

    def close(self) -> None:
        """Nothing is asked of anyone any more, and the file is open on no link. Can be called again."""
        self.is_closed = True
        for link in self.links.carrying():
            self.links.close(link)

    # ------------------------------------------------------------ what the coordinator calls

    def handle(self, report: OfLink | OfFile, link: PeerLink | None) -> object:
        """`link`: the one that the report is of, for those of `OfLink`."""
        return self._handlers[type(report)](self, report, link)

    def send_orders(self, now_s: float) -> None:
        """Whatever the scheduler wants now, and what was gained since the last time."""
        pool, file_id = self._services.pool, self._wanted.file_id
        for action in self.scheduler.next_actions(now_s):
            link_id, order = _order_for(action, file_id)
            link = self._services.links.find(link_id) if link_id is not None else None
            if link is not None:
                pool.send(link.worker, order)
            elif link_id is None:
                for worker in pool.worker_numbers[:1]:
                    pool.send(worker, order)
        if self._unannounced:
            gained, self._unannounced = tuple(self._unannounced), []
            pool.send_all(orders.AnnouncePieces(file_id, gained, self._owners_of(gained)))
        if self.scheduler.is_complete:
            self.stirred.set()

    def tick(self, now_s: float) -> None:
        """Called a few times a second: state and rate follow what happened."""
        progress, book, is_asking = self._progress, self._peer_book, self.scheduler.is_asking
        if is_asking:
            self._asked_at_s = now_s
        is_alone = (book.has_looked and not book.peers) or self.waited_s(now_s) > _ALONE_AFTER_S
        if progress.state == "downloading" and is_alone and not is_asking:
            progress.enter("waiting", self._asked_at_s)
        elif progress.state == "waiting" and is_asking:
            progress.enter("downloading", now_s)
        progress.tick(now_s)

    def connect(self) -> None:
        """Have the links that this download should have."""
        if not self.is_closed:
            self.links.connect(self.scheduler.missing_count)

    def link_up(self, link: PeerLink) -> None:
        self.links.open_on(link)

    def link_down(self, link: PeerLink, cause: Cause, reason: str) -> None:
        """The link is gone, and nothing of it is being written any more."""
        now_s = time.monotonic()
        if cause == "broke_protocol":
            self._blame.shut_out(link.peer.user_id, f"broke the protocol ({reason})", now_s)
        self._peer_book.failed(link.peer, cause, now_s)
        self._forget(link)

    def worker_died(self) -> None:
        """It may have been the one that was to compare pieces."""
        self.scheduler.check_again()

    def worker_born(self, worker: int) -> None:
        """A new worker needs the file, and may have links."""
        store = self._store
        self._services.pool.send(worker, store.as_order(), [store.shared_descriptor, store.descriptor])
        self.scheduler.check_again()
        self.connect()

    async def look_at_piece(self, piece: int) -> None:
        """A peer that was sent this piece from the part file says that it does not match."""
        with contextlib.suppress(StorageError):  # the next read of a worker says so, too
            if await self._store.is_changed(piece, self._services.hash_jobs):
                self.fail(StorageError(f"{self._store.part} was changed by somebody else", PART_CHANGED))

    # ------------------------------------------------------------ what the course calls

    def look_after_links(self, now_s: float) -> None:
        """Once a second: the links that it should have, and none to servers that stand by a wrong piece."""
        for link_id in self._blame.unanswered(now_s):
            link = self._services.links.find(link_id)
            if link is not None and self._wanted.file_id in link.files:
                self.links.close(link)
        self.connect()

    def gossip(self) -> None:
        """Tell those who fetch this file from us from whom we fetch it."""
        self.links.gossip(link.peer for link in self._open_on.values())

    def waited_s(self, now_s: float) -> float:
        """For how long there has been nothing to ask of anyone."""
        return now_s - self._asked_at_s

    def snapshot(self, now_s: float) -> list[tuple[PeerAddress, LinkSnapshot]]:
        """Every link on which the file is open, and how it does. Several may lead to one peer."""
        return [(self._open_on[each.link].peer, each) for each in self.scheduler.snapshot(now_s)]

    # ------------------------------------------------------------ reports: the file on a link

    @_handlers.register
    def _channel_opened(self, report: reports.ChannelOpened, link: PeerLink) -> None:
        peer, geometry = link.peer, self._wanted.manifest.geometry
        try:
            pieces = Bitfield(geometry.piece_count, report.bitfield)
        except BadBitfield as error:
            self._blame.shut_out(peer.user_id, f"sent {error}", time.monotonic())
            return
        self.scheduler.link_opened(link.link_id, pieces)
        self._open_on[link.link_id] = link
        self._users[link.link_id] = peer.user_id
        self._peer_book.answers.opened(peer.thumbprint)
        self._peer_book.reached(peer)

    @_handlers.register
    def _channel_refused(self, report: reports.ChannelRefused, link: PeerLink) -> None:
        """The peer does not give this file, or not any more."""
        book, settings, now_s = self._peer_book, self._services.settings, time.monotonic()
        book.refused(link.peer, report.code, now_s)
        self._forget(link)
        self.links.was_closed(link)
        if report.code in _OLD_TICKET:
            self.links.replace_ticket()
            return
        delay_s = settings.refused_delay_s
        if report.code == REREADING:
            delay_s = settings.rereading_delay_s
            book.answers.excused(link.peer.thumbprint)
            self._blame.rereads(link)
        book.leave_alone(link.peer, now_s + delay_s)

    @_handlers.register
    def _mismatch_sent(self, report: reports.MismatchSent, link: PeerLink) -> None:
        self._forget(link)  # the file stays open on it, for the server's answer

    def _forget(self, link: PeerLink) -> None:
        """Nothing of this file comes over it any more."""
        was_open = self._open_on.pop(link.link_id, None) is not None
        if was_open:  # we do not see any more what its peer has, so that it is told of all pieces again
            self._services.pool.send_all(orders.TellAgain(self._wanted.file_id, link.peer.thumbprint))
        self.scheduler.link_lost(link.link_id)
        if was_open or not link.is_hint:  # what a peer says of another may be wrong, and is not held against that one
            self._peer_book.answers.ended(link.peer.thumbprint, was_open=was_open)
        self._peer_book.peer_exchange.failed(link.peer, time.monotonic())

    @_handlers.register
    def _peer_has(self, report: reports.PeerHas, link: PeerLink) -> bool:
        return self.scheduler.link_has(link.link_id, report.pieces)

    @_handlers.register
    def _peers_named(self, report: reports.PeersNamed, link: PeerLink) -> None:
        self._peer_book.peer_exchange.heard(link.peer, report.peers, time.monotonic())

    # ------------------------------------------------------------ reports: requests and pieces

    @_handlers.register
    def _granted(self, report: reports.PieceGranted, link: PeerLink) -> None:
        self.scheduler.granted(report.request_id, report.piece, report.at_s)

    @_handlers.register
    def _verified(self, report: reports.PieceVerified, link: PeerLink) -> None:
        piece = self.scheduler.verified(report.request_id, report.at_s)
        self._peer_book.answers.gave(link.peer.thumbprint)
        if piece is not None:
            self._progress.came_from(link.peer.user_id, self._gain(piece))

    def _gain(self, piece: int) -> int:
        """Returns the piece's length."""
        length = self._store.gain(piece)
        self._progress.gained(length)
        self._unannounced.append(piece)
        return length

    @_handlers.register
    def _piece_mismatched(self, report: reports.PieceMismatched, link: PeerLink) -> None:
        now_s, why = time.monotonic(), f"sent a piece that does not match the manifest (piece {report.piece})"
        self.scheduler.refused(report.request_id, now_s)
        self._blame.shut_out(link.peer.user_id, why, now_s, self._open_on.get(link.link_id), report.piece)

    @_handlers.register
    def _request_rejected(self, report: reports.RequestRejected, link: PeerLink) -> None:
        now_s = time.monotonic()
        if report.after_s:
            self.scheduler.put_off(report.request_id, now_s + report.after_s)
        else:
            self.scheduler.refused(report.request_id, now_s)

    @_handlers.register
    def _revoked(self, report: reports.RequestRevoked, _: None) -> None:
        self.scheduler.revoked(report.request_id)

    @_handlers.register
    def _cut(self, report: reports.RequestCut, _: None) -> None:
        self.scheduler.was_cut(report.request_id, report.at)

    @_handlers.register
    def _part_received(self, report: reports.PartReceived, _: None) -> None:
        self.scheduler.part_received(report.request_id, report.digest, report.at_s)

    @_handlers.register
    def _scratch_ready(self, report: reports.ScratchReady, _: None) -> None:
        self.scheduler.scratch_ready(report.request_id, report.at_s)

    @_handlers.register
    def _parts_checked(self, report: reports.PartsChecked, _: None) -> None:
        parts = self.scheduler.checked(report.piece, report.is_good)
        if parts:
            self._gain(report.piece)
        for link_id, count in parts:
            self._progress.came_from(self._users[link_id], count)
            if link_id in self._open_on:
                self._peer_book.answers.gave(self._open_on[link_id].peer.thumbprint)

    @_handlers.register
    def _ranges_hashed(self, report: reports.RangesHashed, _: None) -> None:
        why = "sent wrong bytes of a piece that several sent together"
        for link_id in self.scheduler.compared(report.piece, report.digests):
            link = self._open_on.get(link_id)
            self._blame.shut_out(self._users[link_id], why, time.monotonic(), link, report.piece)

    @_handlers.register
    def _wasted(self, report: reports.Wasted, _: None) -> None:
        self._progress.wasted(report.count)

    # ------------------------------------------------------------ reports: the part file

    @_handlers.register
    def _write_failed(self, report: reports.WriteFailed, _: None) -> None:
        self.fail(explained(OSError(report.error_number, ""), "write", self._store.part))

    @_handlers.register
    def _unreadable(self, report: reports.FileUnreadable, _: None) -> None:
        try:
            self._store.look_at_part()  # may know better why
        except StorageError as error:
            self.fail(error)
        else:
            self.fail(StorageError(f"{self._store.part}: {report.reason}"))

    # ------------------------------------------------------------ inside

    def _owners_of(self, pieces: tuple[int, ...]) -> tuple[bytes, ...]:
        """The keys of the peers that are seen to have all of these."""
        return tuple(
            {
                link.peer.thumbprint
                for link_id, link in self._open_on.items()
                if self.scheduler.is_seen_to_have(link_id, pieces)
            }
        )


def _order_for(action: Action, file_id: int) -> tuple[int | None, orders.AnyOrder]:
    """(link id, order); None: any worker will do."""
    match action:
        case Ask(request_id, link, candidates, begin, length, is_scratch):
            return link, orders.Fetch(link, file_id, request_id, candidates, begin, length, is_scratch)
        case Revoke(request_id, link):
            return link, orders.RevokeRequest(link, file_id, request_id)
        case Cut(request_id, link):
            return link, orders.CutRequest(link, file_id, request_id)
        case Keep(request_id, link):
            return link, orders.KeepScratch(link, file_id, request_id)
        case CheckPiece(piece):
            return None, orders.CheckParts(file_id, piece)
        case CompareParts(piece, ranges):
            return None, orders.HashRanges(file_id, piece, ranges)

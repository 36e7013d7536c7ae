"""Decides for the whole client: owns the pool, the links, the files it serves and the downloads under way.

Everything that happens comes in as news from a worker or as a call from the client, on one event loop; so there is one
writer of swarm state and nothing is locked (I6). It sequences; decisions are in `swarm`, bytes in the workers.

    news → the download it concerns → what the scheduler wants now → orders

Not here: accounts, groups, what the tracker says (client); it is given a `Directory` to ask.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from engine.coordinator.directory import Directory
from engine.coordinator.download.download import Download
from engine.coordinator.download.download_run import DownloadRun, Parts
from engine.coordinator.download.local_copies import LocalCopies
from engine.coordinator.events import WorkerDied
from engine.coordinator.hash_jobs import HashJobs
from engine.coordinator.mismatch_checks import MismatchChecks
from engine.coordinator.peer_links import PeerAddress, PeerLink, PeerLinks
from engine.coordinator.pool import Pool
from engine.coordinator.serving import Serving
from engine.coordinator.ticking import Ticking
from engine.errors import Cause, ShoalError, StorageError
from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.ipc.ticket_check import CheckTicket
from engine.settings import Settings
from engine.storage.disk_errors import explained
from engine.storage.manifest import Manifest
from engine.storage.part_file import PartFiles
from engine.storage.stamp import Stamp
from engine.swarm.bitfield import BadBitfield

OfLinkAndFile = (
    reports.ChannelOpened | reports.ChannelRefused | reports.MismatchSent | reports.PeerHas
    | reports.PeersNamed | reports.PieceGranted | reports.PieceVerified | reports.PieceMismatched
)  # fmt: skip
Fetching = asyncio.Task[Stamp | None]
NOTHING_FOLLOWS = False
"""What the handler of news returns if nothing is to be asked for or taken back because of it."""


class Coordinator:
    """One per client. `serving`: the complete files, begun and ended by the client; `hash_jobs`: the reading."""

    _handlers = Handlers()

    def __init__(self, settings: Settings, check_ticket: CheckTicket, directory: Directory) -> None:
        self._settings = settings
        self._directory = directory
        self._pool = Pool(settings, check_ticket, self._on_news, self._worker_died, self._worker_born)
        self.hash_jobs = HashJobs(self._pool, settings.hash_job_bytes)
        self._links = PeerLinks(settings)
        self._part_files = PartFiles(settings.space_reserve_bytes)
        self._file_ids = itertools.count(1)
        self.serving = Serving(self._pool, self._file_ids)
        self.copies = LocalCopies(self.serving, directory)
        self._parts = Parts(settings, self._pool, self._links, self.hash_jobs, self.copies, directory)
        self._runs: dict[int, DownloadRun] = {}
        self._tasks: dict[int, Fetching] = {}
        self._mismatch_checks = MismatchChecks(self._look_at_piece)
        self._identity: orders.Configure | None = None
        self._epochs: dict[str, orders.SetEpoch] = {}
        self._request_ids = itertools.count(1)
        self._accept_turns = itertools.count()
        self._is_pump_due = False
        self._ticking = Ticking(
            self._links, self._pool, self._runs, self._fetching, self._pump_soon, settings.tick_s
        )
        self.sent_bytes = 0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._pool.start()
        self._clock = self._loop.create_task(self._ticking.run())

    async def close(self) -> None:
        self._clock.cancel()
        await self.stop()
        await self._pool.close()

    def worker_pids(self) -> list[int]:
        """Process ids of the pool."""
        return self._pool.pids()

    # ------------------------------------------------------------ who we are

    def configure(self, identity: orders.Configure) -> None:
        """From now on links are made and accepted as this member."""
        self._identity = identity
        self._pool.send_all(identity)

    def raise_epoch(self, group_id: str, epoch: int, removed: str, spared: bytes = b"") -> None:
        """A member is out, but for the `spared` key: nothing more for him, and nothing new for tickets from before."""
        order = orders.SetEpoch(group_id, epoch, removed, spared)
        self._pool.send_all(order)
        # Kept for workers to come, which have no links to cut. News may come late: the highest epoch counts.
        self._epochs[group_id] = max(order, self._epochs.get(group_id, order), key=lambda each: each.epoch)

    async def stop(self) -> None:
        """Serve and fetch nothing more. Downloads are paused where they are, durably."""
        self._identity = None
        self._pool.send_all(orders.EndAllLinks("logged out"))
        await asyncio.sleep(0)  # a download that was begun just now has to begin before it can end in order
        running = list(self._tasks.values())
        for task in running:
            _cancel_once(task)
        await asyncio.gather(*running, return_exceptions=True)
        for link in self._links:
            self._links.forget(link)
        self.serving.end_all("logged out")

    def accept(self, link: socket.socket) -> None:
        """Somebody dialled us: the workers take turns."""
        with link:
            workers = self._pool.worker_numbers
            if workers and self._identity is not None:
                worker = workers[next(self._accept_turns) % len(workers)]
                self._pool.send(worker, orders.AcceptConnection(), [link.fileno()])

    # ------------------------------------------------------------ files we have

    # ------------------------------------------------------------ downloads

    def fetch(
        self, group_id: str, name: str, target: Path, manifest: Manifest, peers: Sequence[PeerAddress] = ()
    ) -> tuple[Download, Fetching]:
        """Begin a download, from `peers` if they are known already. Its task ends with the marks of the finished
        file, which is served from then on; with None if it failed; cancelled if `stop` or `cancel` ended it. Raises
        StorageError.
        """
        file_id = next(self._file_ids)
        download = Download(
            file_id, group_id, name, target, manifest, self._settings, self._request_ids, self._part_files
        )
        download.peer_book.peers = {peer.thumbprint: peer for peer in peers}
        self.copies.enter(download)
        run = self._runs[file_id] = DownloadRun(download, self._parts)
        task = self._tasks[file_id] = self._loop.create_task(self._fetch_and_keep(run))
        self._ticking.wake()
        return download, task

    async def _fetch_and_keep(self, run: DownloadRun) -> Stamp | None:
        download = run.download
        try:
            stamp = await run.run()
            if stamp is not None:
                self.serving.take_over(download.as_order(stamp), str(download.target), *download.hand_over())
            return stamp
        finally:
            del self._runs[download.file_id], self._tasks[download.file_id]
            self.copies.leave(download)

    async def halt(self, download: Download, verdict: ShoalError | None = None) -> None:
        """Stop it where it is, durably: paused, or failed with this verdict. It may complete meanwhile."""
        task = self._tasks.get(download.file_id)
        if task is not None:
            download.verdict = verdict
            await asyncio.sleep(0)  # see stop
            _cancel_once(task)
            await asyncio.gather(task, return_exceptions=True)

    def peer_joined(self, group_id: str, root: bytes, peer: PeerAddress) -> None:
        """The tracker says that somebody new has this file."""
        self._links.welcome_back(peer)
        for run in self._runs.values():
            if (run.download.group_id, run.download.manifest.root) == (group_id, root):
                run.download.peer_book.meet(peer)
                run.connect()

    def _lose(self, link: PeerLink, cause: Cause) -> None:
        self._links.down(link, time.monotonic())
        for file_id in link.files:
            self._runs[file_id].lost(link, cause)

    # ------------------------------------------------------------ news from the workers

    def _on_news(self, worker: int, news: reports.AnyReport) -> None:
        if self._handlers[type(news)](self, news, worker) is not NOTHING_FOLLOWS:
            self._pump_soon()

    @_handlers.register
    def _link_up(self, news: reports.LinkUp, worker: int) -> None:
        link = self._links.find(news.link_id)
        if link is None:
            return
        if news.user_id != link.peer.user_id:  # pieces would be credited to, and blamed on, somebody else
            why = f"{news.user_id} answers there, not {link.peer.user_id}"
            self._pool.send(worker, orders.EndLink(news.link_id, why, "other_peer"))
        else:
            self._links.up(link)
            for file_id in link.files:
                self._runs[file_id].open_on(link)

    @_handlers.register
    def _link_down(self, news: reports.LinkDown, worker: int) -> None:
        link = self._links.find(news.link_id)
        if link is None:
            return
        if news.cause == "broke_protocol":
            for file_id in link.files:
                why = f"broke the protocol ({news.reason})"
                self._runs[file_id].blame.shut_out(link.peer.user_id, why, time.monotonic())
        self._lose(link, news.cause)

    @_handlers.register
    def _channel_opened(self, news: reports.ChannelOpened, worker: int) -> None:
        link, run = self._find(news)
        if link is not None and run is not None:
            try:
                run.download.opened(link, news.bitfield)
                self._ticking.wake()
            except BadBitfield as error:
                run.blame.shut_out(link.peer.user_id, f"sent {error}", time.monotonic())

    @_handlers.register
    def _channel_refused(self, news: reports.ChannelRefused, worker: int) -> None:
        link, run = self._find(news)
        if link is not None and run is not None:
            run.refused(link, news.code)

    @_handlers.register
    def _mismatch_sent(self, news: reports.MismatchSent, worker: int) -> None:
        link, run = self._find(news)
        if link is not None and run is not None:
            run.forget(link)  # it stays open, for the server's answer

    @_handlers.register
    def _peer_has(self, news: reports.PeerHas, worker: int) -> bool:
        link, run = self._find(news)
        return link is not None and run is not None and run.download.has(link, news.pieces)

    @_handlers.register
    def _peers_named(self, news: reports.PeersNamed, worker: int) -> None:
        link, run = self._find(news)
        if link is not None and run is not None:
            run.download.peer_book.peer_exchange.heard(link.peer, news.peers, time.monotonic())

    @_handlers.register
    def _granted(self, news: reports.PieceGranted, worker: int) -> None:
        _, run = self._find(news)
        if run is not None:
            run.download.granted(news)

    @_handlers.register
    def _verified(self, news: reports.PieceVerified, worker: int) -> None:
        link, run = self._find(news)
        if link is not None and run is not None:
            run.download.verified(link, news)

    @_handlers.register
    def _mismatched(self, news: reports.PieceMismatched, worker: int) -> None:
        link, run = self._find(news)
        if link is not None and run is not None:
            now_s, why = time.monotonic(), f"sent a piece that does not match the manifest (piece {news.piece})"
            run.download.scheduler.refused(news.request_id, now_s)
            run.blame.shut_out(link.peer.user_id, why, now_s, link, news.piece)

    @_handlers.register
    def _rejected(self, news: reports.RequestRejected, worker: int) -> None:
        run = self._runs.get(news.file_id)
        if run is not None and run.download.is_fetching:
            now_s, scheduler = time.monotonic(), run.download.scheduler
            if news.after_s:
                scheduler.put_off(news.request_id, now_s + news.after_s)
            else:
                scheduler.refused(news.request_id, now_s)

    @_handlers.register
    def _revoked(self, news: reports.RequestRevoked, worker: int) -> None:
        run = self._runs.get(news.file_id)
        if run is not None:
            run.download.scheduler.revoked(news.request_id)

    @_handlers.register
    def _endgame(self, news: reports.OfEndgame, worker: int) -> None:
        run = self._runs.get(news.file_id)
        if run is not None and run.download.is_prepared:
            run.endgame_news(news)

    @_handlers.register
    def _write_failed(self, news: reports.WriteFailed, worker: int) -> None:
        run = self._runs.get(news.file_id)
        if run is not None:
            run.download.fail(explained(OSError(news.error_number, ""), "write", run.download.part))

    @_handlers.register
    def _unreadable(self, news: reports.FileUnreadable, worker: int) -> None:
        if news.file_id in self.serving:
            self._directory.share_broken(news.file_id, news.error_number, news.reason)
        elif news.file_id in self._runs:
            download = self._runs[news.file_id].download
            try:
                download.look_at_part()  # may know better why
            except StorageError as error:
                download.fail(error)
            else:
                download.fail(StorageError(f"{download.part}: {news.reason}"))

    @_handlers.register
    def _mismatch_received(self, news: reports.MismatchReceived, worker: int) -> None:
        self._mismatch_checks.heard(news.file_id, news.piece, news.user_id)

    async def _look_at_piece(self, file_id: int, piece: int) -> None:
        if file_id in self._runs:
            await self._runs[file_id].look_at_piece(piece)
        elif file_id in self.serving:
            await self._directory.check_share(file_id, piece)

    @_handlers.register
    def _served_bytes(self, news: reports.Served, worker: int) -> None:
        self.sent_bytes += news.count

    @_handlers.register
    def _hashed(self, news: reports.PiecesHashed, worker: int) -> None:
        self.hash_jobs.hashed(worker, news)

    @_handlers.register
    def _hash_failed(self, news: reports.HashFailed, worker: int) -> None:
        self.hash_jobs.failed(news)

    def _find(self, news: OfLinkAndFile) -> tuple[PeerLink | None, DownloadRun | None]:
        """Both None if the link is gone or does not carry this file any more: the news is late."""
        link = self._links.find(news.link_id)
        if link is None or news.file_id not in link.files:
            return None, None
        return link, self._runs.get(news.file_id)

    # ------------------------------------------------------------ workers come and go

    def _worker_died(self, worker: int, how: str) -> None:
        for link in self._links:
            if link.worker == worker:
                self._lose(link, "ended_here")
                self._links.welcome_back(link.peer)
        for download in self._fetching():
            download.scheduler.check_again()
        self.hash_jobs.worker_died(worker)
        self._directory.notice(WorkerDied(how))
        self._pump_soon()

    def _worker_born(self, worker: int) -> None:
        for epoch in self._epochs.values():
            self._pool.send(worker, epoch)
        if self._identity is not None:
            self._pool.send(worker, self._identity)
        self.serving.tell(worker)
        for run in self._runs.values():
            download = run.download
            if download.is_fetching:
                self._pool.send(worker, download.as_order(), [download.shared_descriptor, download.descriptor])
                download.scheduler.check_again()
                run.connect()
        self.hash_jobs.worker_born()

    # ------------------------------------------------------------ the pump

    def _fetching(self) -> Sequence[Download]:
        return [run.download for run in self._runs.values() if run.download.is_fetching]

    def _pump_soon(self) -> None:
        """Once for all the news of this turn of the loop."""
        if not self._is_pump_due:
            self._is_pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pump_due = False
        now_s = time.monotonic()
        for download in self._fetching():
            for link_id, order in download.next_orders(now_s):
                link = self._links.find(link_id) if link_id is not None else None
                if link is not None:
                    self._pool.send(link.worker, order)
                elif link_id is None:
                    for worker in self._pool.worker_numbers[:1]:
                        self._pool.send(worker, order)
            gained = download.take_unannounced()
            if gained:
                owners = download.owners_of(gained)
                self._pool.send_all(orders.AnnouncePieces(download.file_id, gained, owners))
            if download.scheduler.is_complete:
                download.news.set()


def _cancel_once(task: Fetching) -> None:
    """A second cancellation would interrupt the pause that the first one began."""
    if not task.cancelling():
        task.cancel()

"""Decides for the whole client: owns the pool, the links, the files it serves and the downloads under way.

Everything that happens comes in as a report of a worker or as a call of the client, on one event loop; so there is one
writer of swarm state and nothing is locked (I6). A report goes to the download that it concerns; then the orders that
follow leave, once for all reports of one turn of the loop:

    report → Fetching.handle → what the scheduler wants now → orders

Not here: what a report means to a download (download.fetching), accounts, groups and what the tracker says (client);
the coordinator is given a `Directory` to ask.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from engine.coordinator.clock import Clock
from engine.coordinator.directory import Directory
from engine.coordinator.download.download import Download
from engine.coordinator.download.download_run import DownloadRun
from engine.coordinator.download.fetching import NOTHING_FOLLOWS, Fetching, OfFile, OfLink
from engine.coordinator.download.local_copies import LocalCopies
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.events import WorkerDied
from engine.coordinator.hash_jobs import HashJobs
from engine.coordinator.mismatch_checks import MismatchChecks
from engine.coordinator.peer_links import PeerAddress, PeerLink, PeerLinks
from engine.coordinator.pool import Pool
from engine.coordinator.services import Services
from engine.coordinator.serving import Serving
from engine.errors import Cause, ShoalError
from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.ipc.ticket_check import CheckTicket
from engine.settings import Settings
from engine.storage.manifest import Manifest
from engine.storage.part_file import PartFiles
from engine.storage.stamp import Stamp

DownloadTask = asyncio.Task[Stamp | None]
"""Ends with the marks of the finished file, with None if the download failed, or is cancelled if it was paused."""


class Coordinator:
    """One per client. `serving`: the complete files, begun and ended by the client; `hash_jobs`: the reading."""

    _handlers = Handlers()

    def __init__(self, settings: Settings, check_ticket: CheckTicket, directory: Directory) -> None:
        self._directory = directory
        self._pool = Pool(settings, check_ticket, self._on_report, self._worker_died, self._worker_born)
        self.hash_jobs = HashJobs(self._pool, settings.hash_job_bytes)
        self._links = PeerLinks(settings)
        self._file_ids = itertools.count(1)
        self.serving = Serving(self._pool, self._file_ids)
        self.copies = LocalCopies(self.serving, directory)
        part_files, request_ids = PartFiles(settings.space_reserve_bytes), itertools.count(1)
        self._services = Services(settings, self._pool, self._links, self.hash_jobs, part_files, directory, request_ids)
        self._runs: dict[int, DownloadRun] = {}
        self._tasks: dict[int, DownloadTask] = {}
        self._mismatch_checks = MismatchChecks(self._look_at_piece)
        self._identity: orders.Configure | None = None
        self._epochs: dict[str, orders.SetEpoch] = {}
        self._accept_turns = itertools.count()
        self._is_pump_due = False
        self._clock = Clock(self._links, self._pool, self._runs, self._all_fetching, self._pump_soon, settings.tick_s)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._pool.start()
        self._ticking = self._loop.create_task(self._clock.run())

    async def close(self) -> None:
        self._ticking.cancel()
        await self.stop()
        await self._pool.close()

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
        """A connection to this client was accepted: the workers take turns."""
        with link:
            workers = self._pool.worker_numbers
            if workers and self._identity is not None:
                worker = workers[next(self._accept_turns) % len(workers)]
                self._pool.send(worker, orders.AcceptConnection(), [link.fileno()])

    # ------------------------------------------------------------ downloads

    def fetch(
        self, group_id: str, name: str, target: Path, manifest: Manifest, peers: Sequence[PeerAddress] = ()
    ) -> tuple[Download, DownloadTask]:
        """Begin a download, from `peers` if they are known already. The finished file is served from then on. Raises
        StorageError.
        """
        wanted = WantedFile(next(self._file_ids), group_id, name, target, manifest)
        download = Download(wanted, self._services, peers)
        self.copies.enter(download)
        run = self._runs[wanted.file_id] = DownloadRun(download, self._services, self.copies)
        task = self._tasks[wanted.file_id] = self._loop.create_task(self._fetch_and_keep(run))
        self._clock.wake()
        return download, task

    async def _fetch_and_keep(self, run: DownloadRun) -> Stamp | None:
        download, wanted, store = run.download, run.download.wanted, run.download.store
        try:
            stamp = await run.run()
            if stamp is not None:
                self.serving.take_over(store.as_order(stamp), str(wanted.target), *store.hand_over())
            return stamp
        finally:
            del self._runs[wanted.file_id], self._tasks[wanted.file_id]
            self.copies.leave(download)

    async def halt(self, download: Download, verdict: ShoalError | None = None) -> None:
        """Stop it where it is, durably: paused, or failed with this verdict. It may complete meanwhile."""
        file_id = download.wanted.file_id
        task = self._tasks.get(file_id)
        if task is not None:
            self._runs[file_id].judge(verdict)
            await asyncio.sleep(0)  # see stop
            _cancel_once(task)
            await asyncio.gather(task, return_exceptions=True)

    def peer_joined(self, group_id: str, root: bytes, peer: PeerAddress) -> None:
        """The tracker says that one more peer has this file."""
        self._links.welcome_back(peer)
        for run in self._runs.values():
            if run.download.wanted.swarm == (group_id, root):
                run.download.peer_book.meet(peer)
                if run.download.fetching is not None:
                    run.download.fetching.connect()

    def _fetching_of(self, file_id: int) -> Fetching | None:
        run = self._runs.get(file_id)
        return run.download.fetching if run is not None else None

    def _all_fetching(self) -> list[Fetching]:
        """Of all downloads that links may carry now."""
        found = [run.download.fetching for run in self._runs.values()]
        return [each for each in found if each is not None and not each.is_closed]

    def _carried_by(self, link: PeerLink) -> list[Fetching]:
        return [each for file_id in link.files if (each := self._fetching_of(file_id)) is not None]

    # ------------------------------------------------------------ reports of the workers

    def _on_report(self, worker: int, report: reports.AnyReport) -> None:
        if self._handlers[type(report)](self, report, worker) is not NOTHING_FOLLOWS:
            self._pump_soon()

    @_handlers.register
    def _link_up(self, report: reports.LinkUp, worker: int) -> None:
        link = self._links.find(report.link_id)
        if link is None:
            return
        if report.user_id != link.peer.user_id:  # pieces would be credited to, and blamed on, another account
            why = f"{report.user_id} answers there, not {link.peer.user_id}"
            self._pool.send(worker, orders.EndLink(report.link_id, why, "other_peer"))
        else:
            self._links.up(link)
            for fetching in self._carried_by(link):
                fetching.link_up(link)

    @_handlers.register
    def _link_down(self, report: reports.LinkDown, worker: int) -> None:
        link = self._links.find(report.link_id)
        if link is not None:
            self._lose(link, report.cause, report.reason)

    def _lose(self, link: PeerLink, cause: Cause, reason: str) -> None:
        self._links.down(link, time.monotonic())
        for fetching in self._carried_by(link):
            fetching.link_down(link, cause, reason)

    @_handlers.register
    def _of_link(self, report: OfLink, worker: int) -> object:
        """To the download that it concerns, unless the link is gone or does not carry the file any more."""
        link, fetching = self._links.find(report.link_id), self._fetching_of(report.file_id)
        if link is None or fetching is None or report.file_id not in link.files:
            return NOTHING_FOLLOWS
        if isinstance(report, reports.ChannelOpened):
            self._clock.wake()
        return fetching.handle(report, link)

    @_handlers.register
    def _of_file(self, report: OfFile, worker: int) -> object:
        fetching = self._fetching_of(report.file_id)
        if fetching is not None:
            return fetching.handle(report, None)
        if isinstance(report, reports.FileUnreadable) and report.file_id in self.serving:
            self._directory.share_broken(report.file_id, report.error_number, report.reason)
        return NOTHING_FOLLOWS

    @_handlers.register
    def _mismatch_received(self, report: reports.MismatchReceived, worker: int) -> None:
        self._mismatch_checks.heard(report.file_id, report.piece, report.user_id)

    async def _look_at_piece(self, file_id: int, piece: int) -> None:
        fetching = self._fetching_of(file_id)
        if fetching is not None:
            await fetching.look_at_piece(piece)
        elif file_id in self.serving:
            await self._directory.check_share(file_id, piece)

    @_handlers.register
    def _hashed(self, report: reports.PiecesHashed, worker: int) -> None:
        self.hash_jobs.hashed(worker, report)

    @_handlers.register
    def _hash_failed(self, report: reports.HashFailed, worker: int) -> None:
        self.hash_jobs.failed(report)

    # ------------------------------------------------------------ workers come and go

    def _worker_died(self, worker: int, how: str) -> None:
        for link in self._links:
            if link.worker == worker:
                self._lose(link, "ended_here", f"its worker {how}")
                self._links.welcome_back(link.peer)
        for fetching in self._all_fetching():
            fetching.worker_died()
        self.hash_jobs.worker_died(worker)
        self._directory.notice(WorkerDied(how))
        self._pump_soon()

    def _worker_born(self, worker: int) -> None:
        for epoch in self._epochs.values():
            self._pool.send(worker, epoch)
        if self._identity is not None:
            self._pool.send(worker, self._identity)
        self.serving.tell(worker)
        for fetching in self._all_fetching():
            fetching.worker_born(worker)
        self.hash_jobs.worker_born()

    # ------------------------------------------------------------ the pump

    def _pump_soon(self) -> None:
        """Once for all the reports of this turn of the loop."""
        if not self._is_pump_due:
            self._is_pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pump_due = False
        now_s = time.monotonic()
        for fetching in self._all_fetching():
            fetching.send_orders(now_s)


def _cancel_once(task: DownloadTask) -> None:
    """A second cancellation would interrupt the pause that the first one began."""
    if not task.cancelling():
        task.cancel()

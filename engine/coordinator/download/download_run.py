"""The course of one download from beginning to end: check, copy, fetch, install; wait for space; pause.

Runs as one task. While it fetches, the reports of the workers go to `Fetching` beside it, and the course looks around
once a second: for peers, for a ticket, for the journal. Every way out, by completion, failure or pause, leaves no link
with the file open, and the state entered.

Not here: what a report means (fetching), what is on the disk (piece_store).
"""

import asyncio
import time

from engine.coordinator.download.download import Download
from engine.coordinator.download.fetching import PART_CHANGED, Fetching
from engine.coordinator.download.local_copies import LocalCopies
from engine.coordinator.download.status import why_waiting
from engine.coordinator.events import DownloadWaiting, JournalNotWritten, NoSpace, PartChanged, Rechecked, SpaceBack
from engine.coordinator.services import Services
from engine.errors import LocalError, ShoalError, StorageError
from engine.ipc import orders
from engine.storage.disk_errors import OUT_OF_SPACE, explained
from engine.storage.stamp import Stamp
from engine.wire.messages import REREADING

_LOOK_S = 1.0
_TICKET_LOOK_S = 5.0
_SETTLE_S = 2.0
NOT_LISTED = "no_such_file"
"""Code of a tracker's refusal, and of the end of a download that nobody serves any more because of it."""


class DownloadRun:
    """Runs one download. `run` is to be a task; cancelling it pauses the download."""

    def __init__(self, download: Download, services: Services, copies: LocalCopies) -> None:
        self.download = download
        self._services, self._copies = services, copies
        self._verdict: ShoalError | None = None
        self._is_suspended = False  # by the workers, until they have the file again
        self._is_listed = True
        self._said_waiting: set[bool] = set()

    def judge(self, verdict: ShoalError | None) -> None:
        """When it is cancelled it has failed for this reason; with None it is paused."""
        self._verdict = verdict

    async def run(self) -> Stamp | None:
        """The marks of the finished file; None if it failed, and `download.error` says why."""
        download = self.download
        try:
            while True:
                try:
                    return await self._attempt()
                except StorageError as error:
                    if error.code == OUT_OF_SPACE:
                        await self._wait_for_room(error)
                    elif error.code == PART_CHANGED:
                        await self._distrust(error)
                    else:
                        raise
        except asyncio.CancelledError:
            await self._pause()
            raise
        except ShoalError as error:
            await self._leave()
            download.end("stuck" if error.code == NOT_LISTED else "failed", error)
            download.store.close()
            return None

    async def _attempt(self) -> Stamp:
        """From whatever is on the disk to the finished file. Raises ShoalError."""
        download, store = self.download, self.download.store
        try:
            await self._copies.lead(download)
            doubt = await download.check()
            if doubt is not None:
                self._services.directory.notice(Rechecked(str(store.part), doubt))
            if store.goes_on:
                # From here on the journal of the last stop is not all there is: a crash must find that out.
                await store.checkpoints.save(time.monotonic())
            await self._copy_or_fetch()
            download.enter("finishing")
            self._close_links()
            stamp = await self._install()
        except OSError as error:
            raise explained(error, "write", store.part) from error
        download.end("complete")
        return stamp

    async def _copy_or_fetch(self) -> None:
        """Until every piece is verified; from this disk as soon as there is a complete copy on it."""
        while True:
            await self._copies.copy(self.download)
            fetching = self.download.begin_fetching()
            self._is_suspended = False
            await self._fetch_all(fetching)
            if fetching.scheduler.is_complete:
                return
            while not await self._leave():
                pass  # what is still being received must not land on what is copied
            await self.download.store.checkpoints.save(time.monotonic())

    async def _wait_for_room(self, error: StorageError) -> None:
        """What was written may be in doubt after this, so the next attempt begins with a look at it."""
        download, notice = self.download, self._services.directory.notice
        name = download.wanted.name
        await self._leave()
        self._copies.stand_aside(download)
        notice(NoSpace(name, error))
        await download.wait_for_room(error)
        notice(SpaceBack(name))

    async def _distrust(self, error: StorageError) -> None:
        """Bytes that were verified are others now: the next attempt reads all that is there."""
        wanted, pool = self.download.wanted, self._services.pool
        self._close_links()
        said = "its sharer reads it again: a piece of it is wrong"
        pool.send_all(orders.SuspendFile(wanted.file_id, *wanted.swarm, REREADING, said))
        self._is_suspended = True
        await pool.fence(_SETTLE_S)
        self.download.store.distrust()
        self._services.directory.notice(PartChanged(error))

    # ------------------------------------------------------------ while it fetches

    async def _fetch_all(self, fetching: Fetching) -> None:
        """Until every piece is verified, or on this disk: peers, links, tickets, checkpoints, each on its own clock."""
        download, settings, directory = self.download, self._services.settings, self._services.directory
        peer_book, checkpoints = download.peer_book, download.store.checkpoints
        looked_at_ticket_s = -float("inf")
        looked_for_peers_s = time.monotonic() if peer_book.peers else -float("inf")
        look_again_in_s = settings.find_peers_again_s
        gossiped_at_s = time.monotonic()
        has_said_some = False
        while not fetching.scheduler.is_complete and not self._copies.is_here(download):
            now_s = time.monotonic()
            if fetching.failure is not None:
                raise fetching.failure
            if now_s - looked_at_ticket_s > _TICKET_LOOK_S:
                looked_at_ticket_s = now_s
                await fetching.links.refresh_ticket()
            if peer_book.answers.has_any or not peer_book.peers:
                look_again_in_s = settings.find_peers_again_s
                is_due = now_s - looked_for_peers_s > settings.find_peers_interval_s
            else:
                is_due = now_s - looked_for_peers_s > min(look_again_in_s, settings.find_peers_interval_s)
            if is_due:
                looked_for_peers_s, look_again_in_s = now_s, look_again_in_s * 2
                await self._find_peers(fetching)
            self._insist_on_source()
            fetching.look_after_links(now_s)
            self._say_waiting(fetching, now_s)
            if download.verified_bytes and not has_said_some:
                has_said_some = True
                directory.holding_changed(*download.wanted.swarm)
            if now_s - gossiped_at_s > settings.gossip_interval_s:
                gossiped_at_s = now_s
                fetching.gossip()
            if checkpoints.is_due(now_s):
                await checkpoints.save(now_s)
            await self._next_look(fetching)

    def _insist_on_source(self) -> None:
        """Raises LocalError if the group does not list the file any more and nothing comes of those who had it."""
        if not self._is_listed and self.download.state == "waiting":
            name, group_id = self.download.wanted.name, self.download.wanted.group_id
            raise LocalError(
                f"{name} is not in {group_id} any more, and nobody gives it; what has come of it is kept: "
                "download_file goes on with it if the group lists it again, and cancel_download removes it",
                NOT_LISTED,
            )

    async def _next_look(self, fetching: Fetching) -> None:
        """A second, or sooner if that was the last piece or something went wrong."""
        fetching.stirred.clear()
        if not fetching.is_over:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await fetching.stirred.wait()
            except TimeoutError:
                self.download.store.look_at_part()

    def _say_waiting(self, fetching: Fetching, now_s: float) -> None:
        """Once for each time that it comes to wait, and once more if it turns out to wait for something else."""
        why = why_waiting(self.download, now_s)
        if why is None:
            self._said_waiting.clear()
            return
        is_alone = self.download.peer_book.is_alone
        if is_alone not in self._said_waiting and (
            is_alone or fetching.waited_s(now_s) >= self._services.settings.unreached_notice_s
        ):
            self._said_waiting.add(is_alone)
            self._services.directory.notice(DownloadWaiting(why))

    async def _find_peers(self, fetching: Fetching) -> None:
        """A running download does not need the tracker: without an answer it goes on with the peers that it knows."""
        book = self.download.peer_book
        with book.noting_trouble():
            report = book.answers.report(time.monotonic())
            try:
                found = await self._services.directory.find_peers(*self.download.wanted.swarm, report)
            except ShoalError as error:
                self._is_listed = error.code != NOT_LISTED
                raise
            self._is_listed = True
            book.answers.was_told(report)
            book.named(found, [link.peer for link in fetching.links.carrying()])
            fetching.tick(time.monotonic())  # it may be known now that there is nobody

    # ------------------------------------------------------------ ways out

    async def _install(self) -> Stamp:
        """Not to be interrupted: a pause that comes now finds the download complete."""
        installing = asyncio.create_task(asyncio.to_thread(self.download.store.install))
        try:
            return await asyncio.shield(installing)
        except asyncio.CancelledError:
            return await installing

    async def _pause(self) -> None:
        download, store = self.download, self.download.store
        had_workers = download.state in ("waiting", "downloading", "finishing")
        is_settled = await self._leave()
        try:
            if had_workers:
                await store.checkpoints.save(time.monotonic(), is_clean=is_settled)
        except OSError as error:
            self._services.directory.notice(JournalNotWritten(explained(error, "write", store.part)))
        download.end("failed" if self._verdict else "paused", self._verdict)
        store.close()

    async def _leave(self) -> bool:
        """Neither fetch nor serve it any more; whether it is certain that nothing is written any more."""
        wanted, pool = self.download.wanted, self._services.pool
        self._close_links()
        pool.send_all(orders.RemoveFile(wanted.file_id, "not shared here any more"))
        if self._is_suspended:
            self._is_suspended = False
            pool.send_all(orders.ReleaseFile(*wanted.swarm))
        return await pool.fence(_SETTLE_S)

    def _close_links(self) -> None:
        if self.download.fetching is not None:
            self.download.fetching.close()

"""The course of one download from beginning to end: check, find peers, keep links and tickets, checkpoint, install.

Runs as one task beside the news of the workers, which the coordinator passes to `Download` directly. Every way out, by
completion, failure or pause, leaves no link with the file open and the state said.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.coordinator.directory import Directory
from engine.coordinator.download.blame import Blame
from engine.coordinator.download.download import PART_CHANGED, Download
from engine.coordinator.download.local_copies import LocalCopies
from engine.coordinator.download.status import why_waiting
from engine.coordinator.events import DownloadWaiting, JournalNotWritten, NoSpace, PartChanged, Rechecked, SpaceBack
from engine.coordinator.hash_jobs import HashJobs
from engine.coordinator.peer_links import PeerAddress, PeerLink, PeerLinks
from engine.coordinator.pool import Pool
from engine.errors import ShoalError, StorageError
from engine.ipc import orders, reports
from engine.process.background_tasks import BackgroundTasks
from engine.settings import Settings
from engine.storage.disk_errors import OUT_OF_SPACE, explained
from engine.storage.stamp import Stamp
from engine.wire.messages import GOSSIP_PEERS_MAX, REREADING, Neighbour

_LOOK_S = 1.0
_TICKET_LOOK_S = 5.0
_SETTLE_S = 2.0
_OLD_TICKET = ("old_ticket", "bad_ticket")
"""Codes of refusals that another ticket may mend."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What all downloads of a client share."""

    settings: Settings
    pool: Pool
    links: PeerLinks
    hash_jobs: HashJobs
    copies: LocalCopies
    directory: Directory


class DownloadRun:
    """Runs one download. `run` is to be a task; cancelling it pauses the download."""

    def __init__(self, download: Download, parts: Parts) -> None:
        self.download = download
        self._parts = parts
        self.blame = Blame(download, parts.pool, parts.links, parts.directory, parts.settings.ban_s)
        self._chores = BackgroundTasks()
        self._is_suspended = False
        self._said_waiting: set[bool] = set()

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
            download.end("failed", error)
            download.close()
            return None

    async def _attempt(self) -> Stamp:
        """From whatever is on the disk to the finished file. Raises ShoalError."""
        download, parts = self.download, self._parts
        try:
            await parts.copies.lead(download)
            doubt = await download.check(parts.hash_jobs)
            if doubt is not None:
                parts.directory.notice(Rechecked(str(download.part), doubt))
            if download.goes_on:
                # From here on the journal of the last stop is not all there is: a crash must find that out.
                await download.checkpoints.save(time.monotonic())
            await self._copy_or_fetch()
            download.state = "finishing"
            self._close_channels()
            stamp = await self._install()
        except OSError as error:
            raise explained(error, "write", download.part) from error
        download.end("complete")
        return stamp

    async def _copy_or_fetch(self) -> None:
        """Until every piece is verified; from this disk as soon as there is a complete copy on it."""
        download, parts = self.download, self._parts
        while True:
            await parts.copies.copy(download, parts.hash_jobs)
            download.begin_fetching()
            parts.pool.send_all(download.as_order(), [download.shared_descriptor, download.descriptor])
            self._is_suspended = False
            await self._fetch_all()
            if download.scheduler.is_complete:
                return
            while not await self._leave():
                pass  # what is still being received must not land on what is copied
            await download.checkpoints.save(time.monotonic())

    async def _wait_for_room(self, error: StorageError) -> None:
        """What was written may be in doubt after this, so the next attempt begins with a look at it."""
        download, notice = self.download, self._parts.directory.notice
        await self._leave()
        self._parts.copies.stand_aside(download)
        notice(NoSpace(download.name, error))
        await download.wait_for_room(error)
        notice(SpaceBack(download.name))

    async def _distrust(self, error: StorageError) -> None:
        """Bytes that were verified are others now: the next attempt reads all that is there."""
        self._close_channels()
        group_id, root = self.download.swarm
        said = "its sharer reads it again: a piece of it is wrong"
        self._parts.pool.send_all(orders.SuspendFile(self.download.file_id, group_id, root, REREADING, said))
        self._is_suspended = True  # by the workers, until they have the file again
        await self._parts.pool.fence(_SETTLE_S)
        self.download.distrust()
        self._parts.directory.notice(PartChanged(error))

    async def _fetch_all(self) -> None:
        """Until every piece is verified, or on this disk: peers, links, tickets, checkpoints, each on its own clock."""
        download, checkpoints, settings = self.download, self.download.checkpoints, self._parts.settings
        looked_at_ticket_s = -float("inf")
        looked_for_peers_s = time.monotonic() if download.peer_book.peers else -float("inf")
        look_again_in_s = settings.find_peers_again_s
        gossiped_at_s = time.monotonic()
        has_said_some = False
        while not download.scheduler.is_complete and not self._parts.copies.is_here(download):
            now_s = time.monotonic()
            if download.error is not None:
                raise download.error
            if now_s - looked_at_ticket_s > _TICKET_LOOK_S:
                looked_at_ticket_s = now_s
                await self.refresh_ticket()
            if download.peer_book.answers.has_any or not download.peer_book.peers:
                look_again_in_s = settings.find_peers_again_s
                is_due = now_s - looked_for_peers_s > settings.find_peers_interval_s
            else:
                is_due = now_s - looked_for_peers_s > min(look_again_in_s, settings.find_peers_interval_s)
            if is_due:
                looked_for_peers_s, look_again_in_s = now_s, look_again_in_s * 2
                await self._find_peers()
            self.blame.look(now_s)
            self.connect()
            self._say_waiting(now_s)
            if download.verified_bytes and not has_said_some:
                has_said_some = True
                self._parts.directory.holding_changed(*download.swarm)
            if now_s - gossiped_at_s > settings.gossip_interval_s:
                gossiped_at_s = now_s
                self._gossip()
            if checkpoints.is_due(now_s):
                await checkpoints.save(now_s)
            await self._next_look()

    async def _next_look(self) -> None:
        """A second, or sooner if that was the last piece or something went wrong."""
        download = self.download
        download.news.clear()
        if not download.scheduler.is_complete and download.error is None:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await download.news.wait()
            except TimeoutError:
                download.look_at_part()

    def _say_waiting(self, now_s: float) -> None:
        """Once for each time that it comes to wait, and once more if it turns out to wait for something else."""
        download = self.download
        why = why_waiting(download, now_s)
        if why is None:
            self._said_waiting.clear()
            return
        is_alone = download.peer_book.is_alone
        if is_alone not in self._said_waiting and (
            is_alone or download.waited_s(now_s) >= self._parts.settings.unreached_notice_s
        ):
            self._said_waiting.add(is_alone)
            self._parts.directory.notice(DownloadWaiting(why))

    async def _find_peers(self) -> None:
        download = self.download
        # A running download does not need the tracker: without an answer it goes on with whom it knows.
        with self._telling_trouble():
            report = download.peer_book.answers.report(time.monotonic())
            found = await self._parts.directory.find_peers(download.group_id, download.manifest.root, report)
            download.peer_book.answers.was_told(report)
            linked = [link.peer for link in self._parts.links if download.file_id in link.files]
            download.peer_book.named(found, linked)
            download.tick(time.monotonic())  # it may be known now that there is nobody

    @contextlib.contextmanager
    def _telling_trouble(self) -> Iterator[None]:
        """What a tracker does not give just now is part of why a download waits."""
        try:
            yield
        except ShoalError as error:
            self.download.peer_book.trouble = str(error)

    async def refresh_ticket(self, *, is_stale: bool = False) -> None:
        """Have a ticket that holds, and show it on every link; without an answer the one we have goes on."""
        download, parts = self.download, self._parts
        with self._telling_trouble():
            ticket, download.is_open = await parts.directory.ticket_for(download.group_id, is_stale=is_stale)
            if ticket == download.ticket:
                return
            download.ticket = ticket
            for link in parts.links:
                if download.file_id in link.files and link.is_up:
                    parts.pool.send(link.worker, orders.RenewTicket(link.link_id, download.group_id, ticket))

    # ------------------------------------------------------------ links

    def connect(self) -> None:
        """Have the links this download should have, and the file opened on each."""
        download, parts = self.download, self._parts
        if not download.is_fetching or not download.ticket:
            return
        now_s, is_open = time.monotonic(), download.is_open
        peers = download.peer_book.usable(now_s)
        missing = download.scheduler.missing_count
        wanted = parts.links.wanted(
            peers, parts.pool.worker_numbers, now_s, is_open=is_open, file_id=download.file_id, missing=missing
        )
        for peer, worker in wanted:
            self._link(peer, worker)
        if len(peers) < parts.settings.links_sought and parts.pool.worker_numbers:
            known = download.peer_book.peers.keys() | {link.peer.thumbprint for link in parts.links}
            banned = {user_id for user_id, until_s in download.peer_book.banned_until_s.items() if until_s > now_s}
            for hint in download.peer_book.peer_exchange.next_to_try(known, banned, now_s):
                self._link(hint, random.choice(parts.pool.worker_numbers), is_hint=True)

    def _link(self, peer: PeerAddress, worker: int, *, is_hint: bool = False) -> None:
        download, pool = self.download, self._parts.pool
        link, is_new = self._parts.links.link_to(peer, worker, is_open=download.is_open, is_hint=is_hint)
        if is_new:
            order = orders.Dial(link.link_id, peer.host, peer.port, peer.thumbprint, link.is_open)
            pool.send(worker, order)
        if download.file_id not in link.files:
            if not is_hint:
                download.peer_book.answers.turned_to(peer.thumbprint, time.monotonic())
            link.files.add(download.file_id)
            download.peer_book.trying(link.peer, time.monotonic())
            if link.is_up:
                self.open_on(link)

    def _gossip(self) -> None:
        """Tell those who fetch this file from us from whom we fetch it."""
        download, parts = self.download, self._parts
        proven = {link.peer.thumbprint: link.peer for link in parts.links if download.is_open_on(link)}
        # One more than a message holds, since whoever is told is not told of itself.
        chosen = random.sample(list(proven.values()), min(len(proven), GOSSIP_PEERS_MAX + 1))
        if chosen:
            named = tuple(Neighbour(each.user_id, each.host, each.port, each.thumbprint) for each in chosen)
            parts.pool.send_all(orders.SpreadPeers(download.file_id, named))

    def open_on(self, link: PeerLink) -> None:
        """The link is up: ask for the file on it."""
        order = orders.OpenChannel(link.link_id, self.download.file_id, self.download.ticket)
        self._parts.pool.send(link.worker, order)

    def lost(self, link: PeerLink, cause: str) -> None:
        """The link is gone: what its peer was spared, since it had it, it may not have now."""
        self.download.peer_book.failed(link.peer, cause, time.monotonic())
        self.forget(link)

    def refused(self, link: PeerLink, code: str) -> None:
        """Its peer does not give this file, or not any more."""
        download, now_s = self.download, time.monotonic()
        download.peer_book.refused(link.peer, code, now_s)
        self.forget(link)
        link.files.discard(download.file_id)
        if code in _OLD_TICKET:
            self._chores.start(self.refresh_ticket(is_stale=True))
            return
        delay_s = self._parts.settings.refused_delay_s
        if code == REREADING:
            delay_s = self._parts.settings.rereading_delay_s
            download.peer_book.answers.excused(link.peer.thumbprint)
            self.blame.rereads(link)
        download.peer_book.refused_until_s[link.peer.thumbprint] = now_s + delay_s

    def forget(self, link: PeerLink) -> None:
        """Nothing of this file comes over it any more."""
        if self.download.is_open_on(link):
            self._parts.pool.send_all(orders.TellAgain(self.download.file_id, link.peer.thumbprint))
        self.download.lost(link)

    def endgame_news(self, news: reports.OfEndgame) -> None:
        for link_id, user_id in self.download.endgame_news(news):
            why = "sent wrong bytes of a piece that several sent together"
            piece = news.piece if isinstance(news, reports.RangesHashed) else 0
            self.blame.shut_out(user_id, why, time.monotonic(), self._parts.links.find(link_id), piece)

    async def look_at_piece(self, piece: int) -> None:
        """Somebody who was sent this piece from the part file says that it does not match."""
        download = self.download
        with contextlib.suppress(StorageError):  # the next read of a worker says so, too
            geometry, leaves = download.manifest.geometry, download.manifest.leaves
            (found,) = await self._parts.hash_jobs.hash_pieces(download.descriptor, geometry, [piece])
            if download.shared.have[piece] and bytes(found) != leaves[piece].tobytes():
                download.fail(StorageError(f"{download.part} was changed by somebody else", PART_CHANGED))

    # ------------------------------------------------------------ ways out

    async def _install(self) -> Stamp:
        """Not to be interrupted: a pause that comes now finds the download complete."""
        installing = asyncio.create_task(asyncio.to_thread(self.download.install))
        try:
            return await asyncio.shield(installing)
        except asyncio.CancelledError:
            return await installing

    async def _pause(self) -> None:
        download = self.download
        was_fetching = download.is_fetching or download.state == "finishing"
        is_settled = await self._leave()
        try:
            if was_fetching:
                await download.checkpoints.save(time.monotonic(), is_clean=is_settled)
        except OSError as error:
            self._parts.directory.notice(JournalNotWritten(explained(error, "write", download.part)))
        download.end("failed" if download.verdict else "paused", download.verdict)
        download.close()

    async def _leave(self) -> bool:
        """Neither fetch nor serve it any more; whether it is certain that nothing is written any more."""
        self._close_channels()
        self._parts.pool.send_all(orders.RemoveFile(self.download.file_id, "not shared here any more"))
        if self._is_suspended:
            self._is_suspended = False
            self._parts.pool.send_all(orders.ReleaseFile(*self.download.swarm))
        return await self._parts.pool.fence(_SETTLE_S)

    def _close_channels(self) -> None:
        file_id = self.download.file_id
        for link in self._parts.links:
            if file_id in link.files:
                link.files.discard(file_id)
                self._parts.pool.send(link.worker, orders.CloseChannel(link.link_id, file_id))

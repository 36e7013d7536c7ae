"""The downloads of the account that is logged in: begun, resumed at login, followed to their end, announced.

A download is in the ledger from its first moment until it is complete or cancelled, so it survives a logout, a crash
and the loss of a membership. A complete download becomes a share before the ledger forgets it, so the ledger knows the
file at any moment. A download that does not run now is held (held_downloads).

Invariant: a part file that was made and is gone is not made again without the user. Its disk may be unmounted, and a
new part file would land on the disk below.
Not here: the course of a download (coordinator.download.download_run).
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.client import manifests
from engine.client.announcer import Announcer
from engine.client.events import (
    DownloadFailed,
    DownloadFollowed,
    DownloadHalted,
    DownloadResumed,
    PartGone,
    PartLeft,
    WorkFailed,
)
from engine.client.fetching.held_downloads import NOT_MEMBER, HeldDownloads
from engine.client.fetching.progress_events import ProgressEvents
from engine.client.fetching.resume_checks import ENDS, require_folder, require_place, shut_out
from engine.client.session import TrackerSession
from engine.client.sharing import uploads
from engine.client.sharing.shares import Shares
from engine.client.spellings import Key
from engine.client.subscribers import Subscribers
from engine.coordinator.coordinator import Coordinator, DownloadTask
from engine.coordinator.download.download import Download
from engine.coordinator.download.status import status_of
from engine.coordinator.peer_links import PeerAddress
from engine.errors import LocalError, ShoalError, StorageError
from engine.reports import DownloadStatus
from engine.storage import file_names, part_file
from engine.storage.journal import Journal
from engine.storage.ledger import Ledger, SharedFile, StartedDownload
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp


class Downloads:
    """By (group, name), in the order in which they were begun; the latest of each name."""

    def __init__(
        self,
        ledger: Ledger,
        coordinator: Coordinator,
        session: TrackerSession,
        announcer: Announcer,
        shares: Shares,
        subscribers: Subscribers,
    ) -> None:
        self._ledger = ledger
        self._coordinator = coordinator
        self._session = session
        self._announcer = announcer
        self._shares = shares
        self._downloads: dict[Key, Download] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._held = HeldDownloads(self._resume, subscribers.tell)
        self._watchers: Counter[Key] = Counter()
        self._unwanted: set[Key] = set()
        self._tell = subscribers.tell
        self._progress = ProgressEvents(subscribers)
        self._user_id = ""

    # ------------------------------------------------------------ what was begun before

    async def resume(self, user_id: str) -> list[tuple[str, ShoalError]]:
        """Continue what this account was fetching here. Returns the names that cannot continue, and why."""
        self._user_id = user_id
        held: list[tuple[str, ShoalError]] = []
        for begun in self._ledger.downloads_of(user_id):
            try:
                await self._resume(begun)
            except ShoalError as error:
                held.append((begun.name, error))
                self._held.keep(begun, error)
        return held

    async def _resume(self, begun: StartedDownload) -> None:
        """Raises ShoalError if it cannot continue where it was."""
        require_place(begun)
        try:
            await self.begin(begun.key, Path(begun.target), is_resumed=True)
        except ShoalError as error:
            if error.code == NOT_MEMBER:
                raise shut_out(begun) from error
            raise

    async def let_in(self, group_id: str | None = None) -> None:
        """The account may be a member again, of this group or (None) of any: downloads that wait for that go on."""
        for begun in self._ledger.downloads_of(self._user_id):
            if group_id in (None, begun.group_id) and self._is_shut_out(begun.key):
                try:
                    await self._resume(begun)
                except ShoalError as error:
                    self._downloads.pop(begun.key, None)
                    self._held.keep(begun, error)
                else:
                    self._tell(DownloadResumed(begun.name))

    def _is_shut_out(self, key: Key) -> bool:
        ended = self._downloads.get(key)
        is_put_out = ended is not None and ended.error is not None and ended.error.code == NOT_MEMBER
        return is_put_out or self._held.is_shut_out(key)

    # ------------------------------------------------------------ beginning

    async def begin(
        self,
        key: Key,
        target: Path,
        on_progress: uploads.OnProgress | None = None,
        *,
        respell: Callable[[str], Path] | None = None,
        is_resumed: bool = False,
    ) -> DownloadStatus:
        """Fetch a file to `target`. If this file is there already, it is verified (`on_progress`: while it is read) and
        shared. A download to the same place that runs already is followed. Returns the first status.

        `respell`: the target, if the group has the file under another normal form of its name; then that is its name.
        """
        if self._is_running_to(key, target):
            self._tell(DownloadFollowed(key[1], str(target)))
            return status_of(self._downloads[key])
        manifest, peers, name = await manifests.fetch(self._session, *key)
        if name != key[1] and respell is not None:
            key, target = (key[0], name), respell(name)
        before = self._ledger.find_download(self._user_id, *key)
        if before is not None:
            require_folder(before, target)
        if is_resumed and before is not None and before.root != manifest.root:
            raise LocalError(f"{key[0]} has another file under the name {key[1]} now; {ENDS}", "other_content")
        if await self._shares.look_now(manifest.root):
            # A tracker that takes this client for a sharer names it no sharers, so the peers are asked for again.
            peers = []
        if os.path.lexists(target) and not self._is_running_to(key, target):
            ended = self._downloads.get(key)
            is_same = ended is not None and ended.wanted.manifest.root == manifest.root
            if ended is not None and is_same and self._shares.path_of(*key) == target == ended.wanted.target:
                return status_of(ended)  # it came in this session: with what that took
            return await self._take_existing(key, target, manifest, on_progress)
        if self._is_running_to(key, target):
            return status_of(self._downloads[key])
        here = self._shares.path_of(*key)
        if here is not None:
            raise LocalError(f"this client has {key[1]} already, and shares it from {here}", "already_here")
        if is_resumed and before is not None:
            require_place(before)  # again: the tracker may have taken its time
        made = [] if is_resumed else file_names.make_folder(target.parent)
        try:
            download = self._start(key, target, manifest, peers, before)
        except ShoalError:
            file_names.remove_folders(made)
            raise
        await self._announce(download)
        return status_of(download)

    def _is_running_to(self, key: Key, target: Path) -> bool:
        """Raises LocalError if it runs to another place."""
        if not self.is_downloading(key):
            return False
        running = self._downloads[key].wanted.target
        if running != target:
            raise LocalError(
                f"{key[1]} is being downloaded to {running}; copy it from there when it is complete, or end that with "
                "cancel_download first",
                "downloading",
            )
        return True

    def _start(
        self,
        key: Key,
        target: Path,
        manifest: Manifest,
        peers: list[PeerAddress],
        before: StartedDownload | None,
    ) -> Download:
        """`before`: the earlier download in the ledger, which this one continues or replaces. Raises StorageError."""
        part = file_names.part_path(target, manifest.root)
        had_part = os.path.lexists(part)
        begun = StartedDownload(*key, str(target), manifest.root, manifest.geometry, had_part)
        # Into the ledger first: a client that is killed now must not leave a part file that it does not know.
        self._ledger.add_download(self._user_id, begun)
        try:
            download, fetching = self._coordinator.fetch(*key, target, manifest, peers)
        except ShoalError:
            if before is None:
                self._ledger.drop_download(self._user_id, *key)
            else:  # an empty part file may have been given up for want of space
                is_lost = had_part and part == before.part and not os.path.lexists(part)
                self._ledger.add_download(self._user_id, replace(before, has_part=before.has_part and not is_lost))
            raise
        self._ledger.add_download(self._user_id, replace(begun, has_part=True))
        self._held.drop(key)
        self._downloads.pop(key, None)
        self._downloads[key] = download
        self._progress.watch(download)
        task = self._tasks[key] = asyncio.create_task(self._follow(key, download, fetching))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
        if before is not None and before.part != part:
            self._remove_part(before)
        elif before is not None and before.has_part and not had_part:
            self._tell(PartGone(str(part), key[1]))
        return download

    async def _take_existing(
        self, key: Key, target: Path, manifest: Manifest, on_progress: uploads.OnProgress | None
    ) -> DownloadStatus:
        """Something is at the target: share it if it is the file. Raises LocalError otherwise."""
        stamp = await uploads.is_this_file(target, manifest, self._coordinator, on_progress)
        if stamp is None:
            raise LocalError(
                f"{target} exists and is not this file; move it away or choose another destination", "target_exists"
            )
        await self._shares.add(SharedFile(*key, str(target), manifest.root, manifest.geometry, stamp))
        before = self._ledger.find_download(self._user_id, *key)
        if before is not None and not self.is_downloading(key):
            self._held.drop(key)
            is_expected = before.part != file_names.part_path(target, manifest.root)
            self._remove_part(replace(before, has_part=before.has_part and is_expected))
            self._ledger.drop_download(self._user_id, *key)
        size_bytes = manifest.geometry.size_bytes
        return DownloadStatus(
            *key, str(target), "complete", size_bytes, size_bytes, 0.0, 0, {}, 0.0, reused_bytes=size_bytes
        )

    # ------------------------------------------------------------ following and ending

    async def wait(self, key: Key) -> DownloadStatus:
        """Returns when it is complete, failed, cancelled or paused."""
        held = self._held.status(key)
        if held is not None:
            return held
        download, task = self._find(key), self._tasks.get(key)
        if task is not None:
            self._watchers[key] += 1
            try:
                await asyncio.shield(task)
            finally:
                self._watchers[key] -= 1
        return status_of(download)

    async def settle(self, key: Key) -> None:
        """A complete download becomes a share a moment later: wait for that."""
        task = self._tasks.get(key)
        if task is not None and not self.is_downloading(key):
            await asyncio.wait({task})

    async def cancel(self, key: Key) -> None:
        """End it, whatever its state, remove what was fetched, and announce that."""
        held = self._held.find(key)
        if held is not None:
            return self._give_up(held)
        download = self._find(key)
        if download.state in ("complete", "cancelled"):
            raise LocalError(f"the download of {key[1]} is {download.state} already", "no_such_download")
        await self._end(key)
        await self._announce(download)

    async def leave_group(self, group_id: str) -> None:
        """The user leaves the group: its downloads are given up."""
        for begun in self._ledger.downloads_of(self._user_id):
            if begun.group_id == group_id:
                if begun.key in self._downloads:
                    await self._end(begun.key)
                else:
                    self._give_up(begun)

    async def put_out(self, group_id: str) -> None:
        """The account is not a member any more: what came is kept, and goes on when the account is let in again."""
        for begun in self._ledger.downloads_of(self._user_id):
            if begun.group_id == group_id:
                error = shut_out(begun)
                if self.is_downloading(begun.key):
                    await self._coordinator.halt(self._downloads[begun.key], error)
                elif begun.key not in self._downloads:
                    self._held.keep(begun, error)
                if not self._watchers[begun.key]:
                    self._tell(DownloadHalted(begun.name, str(error)))

    async def suspend(self) -> None:
        """After the coordinator stopped: forget them here. The ledger keeps them for the next login."""
        await self._held.clear()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._downloads.clear()
        self._user_id = ""

    def statuses(self) -> list[DownloadStatus]:
        return self._held.statuses() + [status_of(download) for download in self._downloads.values()]

    def roots(self) -> dict[Key, bytes]:
        """Which content each name leads to."""
        return {**self._held.roots(), **{key: each.wanted.manifest.root for key, each in self._downloads.items()}}

    def is_downloading(self, key: Key) -> bool:
        return key in self._downloads and self._downloads[key].is_active

    def count_active(self) -> int:
        return sum(download.is_active for download in self._downloads.values())

    # ------------------------------------------------------------ inside

    def _find(self, key: Key) -> Download:
        download = self._downloads.get(key)
        if download is None:
            raise LocalError(f"there is no download of {key[1]!r} from {key[0]}", "no_such_download")
        return download

    async def _announce(self, download: Download) -> None:
        self._shares.drop_unknown(await self._announcer.renew(*download.wanted.swarm))

    async def _end(self, key: Key) -> None:
        download = self._downloads[key]
        self._unwanted.add(key)
        try:
            await self._coordinator.halt(download)
            task = self._tasks.get(key)
            if task is not None:
                await asyncio.gather(task, return_exceptions=True)
        finally:
            self._unwanted.discard(key)
        begun = self._ledger.find_download(self._user_id, *key)
        if begun is not None and download.state in ("paused", "failed", "stuck", "cancelled"):
            self._give_up(begun)
            download.end("cancelled")

    def _give_up(self, begun: StartedDownload) -> None:
        self._held.drop(begun.key)
        self._remove_part(begun)
        self._ledger.drop_download(self._user_id, *begun.key)

    def _remove_part(self, begun: StartedDownload) -> None:
        """Remove what was fetched. If that fails, the user is told where it is."""
        try:
            saved = Journal(file_names.journal_path(begun.part), begun.root, begun.geometry).load()
            part_file.remove(begun.part, is_expected=begun.has_part, saved=saved)
        except StorageError as error:
            self._tell(PartLeft(begun.name, str(error)))

    async def _follow(self, key: Key, download: Download, task: DownloadTask) -> None:
        """Wait for its end; a complete file becomes a share."""
        try:
            stamp = await task
            await self._conclude(key, download, stamp)
        except asyncio.CancelledError:  # paused or cancelled, by a caller that updates the ledger
            if key in self._unwanted and download.state == "paused":
                download.end("cancelled")
        except ShoalError as error:
            self._tell(WorkFailed(error))
        finally:
            self._progress.ended(download)

    async def _conclude(self, key: Key, download: Download, stamp: Stamp | None) -> None:
        if stamp is not None:
            manifest = download.wanted.manifest
            file = SharedFile(*key, str(download.wanted.target), manifest.root, manifest.geometry, stamp)
            await self._shares.add(file, download.wanted.file_id)
            self._ledger.drop_download(self._user_id, *key)
        else:
            await self._announce(download)
            if not self._watchers[key]:
                self._tell(DownloadFailed(key[1], str(download.error)))

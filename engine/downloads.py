"""The downloads of the account that is logged in: begun, resumed at login, followed to their end, announced.

A download is in the ledger from its first moment until it is complete or cancelled, so it survives logout, exit and
worse. A complete one is handed to the shares before the ledger forgets it as a download, so that it is in one of the
two at any moment. What cannot be resumed at login for want of a tracker or of space is tried again until it can.
Not here: its course (transfer.download_run).
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from engine import manifests, uploads
from engine.announcer import Announcer
from engine.errors import LocalError, ShoalError
from engine.reports import DownloadStatus
from engine.session import Session
from engine.shares import Shares
from engine.spellings import Key
from engine.storage import file_names
from engine.storage.ledger import Ledger, SharedFile, StartedDownload
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.transfer.coordinator import Coordinator, Fetching
from engine.transfer.download import Download

_GONE_FOR_GOOD = frozenset({"no_such_file", "no_such_group", "not_member"})
_UP_TO_THE_USER = frozenset({"target_exists", "downloading", "already_here", "no_folder", "bad_manifest"})
"""Codes of failures that no waiting mends."""

_TRY_AGAIN_S, _TRY_AGAIN_MAX_S = 5.0, 60.0


class Downloads:
    """By (group, name), in the order they were begun; the latest of each."""

    def __init__(
        self,
        ledger: Ledger,
        coordinator: Coordinator,
        session: Session,
        announcer: Announcer,
        shares: Shares,
        notice: Callable[[str, str], None],
        drop_broken: Callable[[str, str, str], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._coordinator = coordinator
        self._session = session
        self._announcer = announcer
        self._shares = shares
        self._downloads: dict[Key, Download] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._attempts: set[asyncio.Task[None]] = set()
        self._watchers: Counter[Key] = Counter()
        self._notice = notice
        self._drop_broken = drop_broken
        self._user_id = ""

    async def resume(self, user_id: str) -> list[tuple[str, ShoalError]]:
        """Go on with what this account was fetching here. Returns the names of those that cannot go on, and why."""
        self._user_id = user_id
        stuck: list[tuple[str, ShoalError]] = []
        for begun in self._ledger.downloads_of(user_id):
            key = (begun.group_id, begun.name)
            try:
                await self.begin(key, Path(begun.target), is_resumed=True)
            except ShoalError as error:
                stuck.append((begun.name, error))
                self._give_up_or_try_again(begun, error)
        return stuck

    def _give_up_or_try_again(self, begun: StartedDownload, error: ShoalError) -> None:
        if error.code in _GONE_FOR_GOOD:
            self._ledger.drop_download(self._user_id, begun.group_id, begun.name)
        elif error.code not in _UP_TO_THE_USER:
            attempt = asyncio.create_task(self._try_again(begun))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    async def _try_again(self, begun: StartedDownload) -> None:
        """Until it goes on or cannot for another reason; never in step with other clients."""
        delay_s = _TRY_AGAIN_S
        while True:
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))
            delay_s = min(2 * delay_s, _TRY_AGAIN_MAX_S)
            try:
                await self.begin((begun.group_id, begun.name), Path(begun.target), is_resumed=True)
            except ShoalError as error:
                if error.code in _GONE_FOR_GOOD or error.code in _UP_TO_THE_USER:
                    self._notice("download_stuck", f"the download of {begun.name} does not go on: {error}")
                    return self._give_up_or_try_again(begun, error)
            else:
                return self._notice("download_resumed", f"the download of {begun.name} goes on")

    async def begin(
        self,
        key: Key,
        target: Path,
        on_progress: uploads.OnProgress | None = None,
        *,
        respell: Callable[[str], Path] | None = None,
        is_resumed: bool = False,
    ) -> DownloadStatus:
        """Fetch a file to `target`, or take what is there if it is this file (`on_progress`: of reading that). Returns
        its first status.

        `respell`: the target, if the group has the file under another normal form of its name; then that is its name.
        """
        manifest, peers, name = await manifests.fetch(self._session, *key)
        if name != key[1] and respell is not None:
            key, target = (key[0], name), respell(name)
        for broken in await self._shares.find_broken(manifest.root):
            # Before anybody is asked: to whoever is said to have the file the trackers name nobody who has it.
            await self._drop_broken(*broken)
            peers = []
        if os.path.lexists(target):
            await self._take_existing(key, target, manifest, on_progress)
            file_names.discard_part(file_names.part_path(target, manifest.root))
            self._ledger.drop_download(self._user_id, *key)
            size_bytes = manifest.geometry.size_bytes
            return DownloadStatus(*key, str(target), "complete", size_bytes, size_bytes, 0.0, 0, {}, 0.0)
        if self.is_downloading(key):
            raise LocalError(f"{key[1]} is being downloaded already", "downloading")
        here = self._shares.path_of(*key)
        if here is not None:
            raise LocalError(f"this client has {key[1]} already, and shares it from {here}", "already_here")
        # Before anything of it is on the disk: a client that is killed in between must not leave that behind unknown.
        self._ledger.add_download(
            self._user_id, StartedDownload(*key, str(target), manifest.root, manifest.geometry)
        )
        try:
            download, fetching = self._coordinator.fetch(*key, target, manifest, peers)
        except ShoalError:
            if not is_resumed:
                self._ledger.drop_download(self._user_id, *key)
            raise
        self._downloads.pop(key, None)
        self._downloads[key] = download
        task = self._tasks[key] = asyncio.create_task(self._follow(key, download, fetching))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
        await self._announce(download)
        return download.status()

    async def wait(self, key: Key) -> DownloadStatus:
        """Until it is complete, failed, cancelled or paused."""
        download, task = self._find(key), self._tasks.get(key)
        if task is not None:
            self._watchers[key] += 1
            try:
                await asyncio.shield(task)
            finally:
                self._watchers[key] -= 1
        return download.status()

    async def settle(self, key: Key) -> None:
        """A download that says it is complete becomes a share in the next moment: wait for that."""
        task = self._tasks.get(key)
        if task is not None and not self.is_downloading(key):
            await asyncio.wait({task})

    async def cancel(self, key: Key) -> None:
        """Stop it, remove what was fetched, and say so."""
        download = self._find(key)
        if download.state in ("complete", "cancelled"):
            raise LocalError(f"the download of {key[1]} is {download.state} already", "no_such_download")
        await self._end(key)
        await self._announce(download)

    async def forget_group(self, group_id: str) -> None:
        """Not a member any more: what was being fetched from it is cancelled."""
        for key, download in list(self._downloads.items()):
            if key[0] == group_id and download.is_active:
                await self._end(key)

    async def suspend(self) -> None:
        """The coordinator paused them all; the ledger keeps them for the next login."""
        for attempt in list(self._attempts):
            attempt.cancel()
        await asyncio.gather(*self._tasks.values(), *self._attempts, return_exceptions=True)
        self._downloads.clear()

    def statuses(self) -> list[DownloadStatus]:
        return [download.status() for download in self._downloads.values()]

    def keys(self) -> list[Key]:
        return list(self._downloads)

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
        self._shares.drop_unknown(await self._announcer.renew(*download.swarm))

    async def _end(self, key: Key) -> None:
        download = self._downloads[key]
        await self._coordinator.halt(download)
        if download.state in ("paused", "failed"):
            download.discard()
            download.end("cancelled")
        task = self._tasks.get(key)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        self._ledger.drop_download(self._user_id, *key)

    async def _follow(self, key: Key, download: Download, fetching: Fetching) -> None:
        """When it is complete, it is a share like any other."""
        try:
            stamp = await fetching
        except asyncio.CancelledError:
            return  # paused or cancelled; whoever did that keeps the ledger
        try:
            if stamp is not None:
                manifest = download.manifest
                file = SharedFile(*key, str(download.target), manifest.root, manifest.geometry, stamp)
                await self._shares.add(file, download.file_id)
                self._ledger.drop_download(self._user_id, *key)
            else:
                await self._announce(download)
                if not self._watchers[key]:
                    self._notice("download_failed", f"the download of {key[1]} ended: {download.error}")
        except ShoalError as error:
            self._notice(error.code, str(error))

    async def _take_existing(
        self, key: Key, target: Path, manifest: Manifest, on_progress: uploads.OnProgress | None
    ) -> None:
        """Something is where the file should go: share it if it is the file. Raises LocalError otherwise."""
        stamp: Stamp | None = None
        if not target.is_symlink():
            stamp = await uploads.is_this_file(target, manifest, self._coordinator, on_progress)
        if stamp is None:
            raise LocalError(
                f"{target} exists and is not this file; move it away or choose another destination", "target_exists"
            )
        await self._shares.add(SharedFile(*key, str(target), manifest.root, manifest.geometry, stamp))

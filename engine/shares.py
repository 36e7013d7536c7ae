"""The complete files this client shares: begun, resumed at login, ended, announced.

Each is in three places, kept in step here: the ledger (so that it resumes), the coordinator (so that it is served)
and the trackers (so that others come). A file whose marks changed since it was shared is dropped, and said; one that
cannot be opened just now stays in the ledger.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from engine import uploads
from engine.announcer import Announcer
from engine.errors import StorageError
from engine.reports import DroppedShare
from engine.spellings import Key
from engine.storage.ledger import Ledger, SharedFile
from engine.storage.stamp import Stamp
from engine.transfer.coordinator import Coordinator
from tracker import protocol

_CHANGED = "it was changed since it was shared; upload it again"
_PASSING = frozenset({"descriptors", "permission", "disk_failed", "unreadable"})
"""Codes of what says nothing about the file itself: such a share stays known."""
_NEXT_LOGIN = "it is tried again at the next login"
_UNKNOWN = "the group does not list it any more, or you are not a member"


@dataclass(frozen=True, slots=True)
class _Live:
    file_id: int
    file: SharedFile


class Shares:
    """All shares of the account that is logged in, by (group, name)."""

    def __init__(self, ledger: Ledger, coordinator: Coordinator, announcer: Announcer) -> None:
        self._ledger = ledger
        self._coordinator = coordinator
        self._announcer = announcer
        self._live: dict[tuple[str, str], _Live] = {}
        self._doubtful: list[SharedFile] = []
        self._user_id = ""

    def resume(self, user_id: str) -> list[DroppedShare]:
        """Serve what this account shared here before; returns what is gone or another file now. Not announced yet.

        What only has other marks, as after a copy or a touch, waits for `recheck`.
        """
        self._user_id = user_id
        dropped: list[DroppedShare] = []
        self._doubtful.clear()
        for file in self._ledger.shares_of(user_id):
            try:
                self._live[file.group_id, file.name] = _Live(self._coordinator.serve(file), file)
            except StorageError as error:
                if error.code not in _PASSING and _has_size(file):
                    self._doubtful.append(file)
                    continue
                dropped.append(self._given_up(file, error))
        return dropped

    async def recheck(self) -> tuple[list[SharedFile], list[DroppedShare]]:
        """Read the files that `resume` found changed: those that are the same after all are shared again, the others
        are dropped.
        """
        back: list[SharedFile] = []
        dropped: list[DroppedShare] = []
        while self._doubtful:
            file = self._doubtful.pop()
            try:
                stamp = await uploads.find_unchanged(file, self._coordinator)
                if stamp is None:
                    raise StorageError(_CHANGED, "file_changed")
                await self.add(replace(file, stamp=stamp))
                back.append(file)
            except StorageError as error:
                dropped.append(self._given_up(file, error))
        return back, dropped

    def _given_up(self, file: SharedFile, error: StorageError) -> DroppedShare:
        """For good if it is the file's fault, or else until the next login."""
        if error.code in _PASSING:
            return DroppedShare(file.group_id, file.name, file.path, f"{error}; {_NEXT_LOGIN}")
        self._ledger.drop_share(self._user_id, file.group_id, file.name)
        return DroppedShare(file.group_id, file.name, file.path, str(error))

    async def find_broken(self, root: bytes | None = None) -> list[tuple[str, str, str]]:
        """(group, name, why) of those whose path does not lead to what is shared any more; `root`: of this content."""
        files = [live.file for live in self._live.values() if root is None or live.file.root == root]
        return await asyncio.to_thread(_find_broken, files) if files else []

    async def add(self, file: SharedFile, file_id: int | None = None) -> None:
        """Share a file and say so; `file_id` if the coordinator serves it already. Raises StorageError."""
        self._retire(file.group_id, file.name, "shared anew")
        number = self._coordinator.serve(file) if file_id is None else file_id
        self._live[file.group_id, file.name] = _Live(number, file)
        self._ledger.add_share(self._user_id, file)
        self.drop_unknown(await self._announcer.renew(file.group_id, file.root))

    async def remove(self, group_id: str, name: str, reason: str) -> SharedFile | None:
        """Stop sharing, for good, and say so; None if it was not shared."""
        file = self._drop(group_id, name, reason)
        if file is not None:
            self.drop_unknown(await self._announcer.renew(group_id, file.root))
        return file

    async def remove_broken(self, file_id: int, reason: str) -> SharedFile | None:
        """The coordinator stopped serving this number, because the file is not what it was."""
        broken = next((live.file for live in self._live.values() if live.file_id == file_id), None)
        return await self.remove(broken.group_id, broken.name, reason) if broken else None

    def forget_group(self, group_id: str, reason: str) -> None:
        """Not a member any more: the tracker knows, the shares go."""
        for file in [live.file for live in self._live.values() if live.file.group_id == group_id]:
            self._drop(group_id, file.name, reason)

    def drop_unknown(self, unknown: list[protocol.Share]) -> list[DroppedShare]:
        """The tracker does not take these, so they are served no more."""
        dropped: list[DroppedShare] = []
        for share in unknown:
            for file in self._with_root(share.group_id, share.root):
                self._drop(file.group_id, file.name, _UNKNOWN)
                dropped.append(DroppedShare(file.group_id, file.name, file.path, _UNKNOWN))
        return dropped

    def keys(self) -> list[Key]:
        return list(self._live)

    def find(self, key: Key) -> SharedFile | None:
        """What this client shares under this name."""
        live = self._live.get(key)
        return None if live is None else live.file

    def path_of(self, group_id: str, name: str) -> Path | None:
        """Where this client has the file, if it still is what was shared."""
        live = self._live.get((group_id, name))
        if live is None:
            return None
        path = Path(live.file.path)
        try:
            return path if Stamp.of(path.stat()) == live.file.stamp else None
        except OSError:
            return None

    def suspend(self) -> None:
        """Logged out: the coordinator has stopped serving, the ledger keeps all for the next login."""
        self._doubtful.clear()
        self._live.clear()

    def __len__(self) -> int:
        return len(self._live)

    def _with_root(self, group_id: str, root: bytes) -> list[SharedFile]:
        return [live.file for live in self._live.values() if (live.file.group_id, live.file.root) == (group_id, root)]

    def _drop(self, group_id: str, name: str, reason: str) -> SharedFile | None:
        file = self._retire(group_id, name, reason)
        if file is not None:
            self._ledger.drop_share(self._user_id, group_id, name)
        return file

    def _retire(self, group_id: str, name: str, reason: str) -> SharedFile | None:
        live = self._live.pop((group_id, name), None)
        if live is None:
            return None
        self._coordinator.stop_serving(live.file_id, reason)
        return live.file


def _has_size(file: SharedFile) -> bool:
    try:
        return Path(file.path).stat().st_size == file.stamp.size_bytes
    except OSError:
        return False


def _find_broken(files: list[SharedFile]) -> list[tuple[str, str, str]]:
    broken: list[tuple[str, str, str]] = []
    for file in files:
        try:
            reason = None if Stamp.of(Path(file.path).stat()) == file.stamp else _CHANGED
        except FileNotFoundError:
            reason = "it was deleted or renamed"
        except OSError as error:
            reason = f"it cannot be looked at: {error.strerror}"
        if reason is not None:
            broken.append((file.group_id, file.name, reason))
    return broken

"""The complete files this client shares: begun, resumed at login, followed through what happens to them, ended.

Each share is in three places, and this file keeps them in step: in the ledger (so that it resumes), in the coordinator
(so that it is served) and at the trackers (so that others find it). The states of a share:

    state        served  announced  looked at                         and then
    served       yes     yes        its marks, now and then           re-reading, if they moved or a piece is wrong
    re-reading   no      if served  read by the pool at once          served, missing, unreadable; changed: it ends
    missing      no      no         its path, after 1 to 60 seconds   re-reading, if something is there again
    unreadable   no      no         likewise                          re-reading, if it can be opened again

Invariants: after a mark was seen to change, nothing of the file is served until all of it was read and matched. A share
ends in three ways only: its user ends it, the file was read and is another one, or the tracker does not know it.
Not here: how a file is read and judged (share_reading), what is being fetched (downloads).
"""

import asyncio
import errno
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.client import manifests
from engine.client.announcer import Announcer
from engine.client.chores import Chores
from engine.client.events import (
    Event,
    ShareAway,
    ShareBack,
    ShareDropped,
    ShareMoved,
    ShareRechecked,
    ShareRereading,
    ShareWrong,
    WorkFailed,
)
from engine.client.session import TrackerSession
from engine.client.sharing.share import Share
from engine.client.sharing.share_reading import ShareReading, Verdict
from engine.client.spellings import Key, find_key
from engine.coordinator.coordinator import Coordinator
from engine.coordinator.serving import MARKS_MOVED
from engine.errors import LocalError, ShoalError, StorageError
from engine.reports import DroppedShare, ShareStatus
from engine.storage.ledger import Ledger, SharedFile
from engine.storage.stamp import Stamp
from engine.wire.messages import REREADING
from tracker.protocol import requests

_UNKNOWN = "the group does not list it any more, or you are not a member"
_MOVED_MARKS = "its times or its size changed"
_LONG_S = 1.0
"""The user is told that a file is read again if that takes longer."""


class Shares:
    """All shares of the account that is logged in, by (group, name)."""

    def __init__(
        self,
        ledger: Ledger,
        coordinator: Coordinator,
        session: TrackerSession,
        announcer: Announcer,
        tell: Callable[[Event], None],
        chores: Chores,
    ) -> None:
        self._ledger = ledger
        self._coordinator = coordinator
        self._session, self._announcer = session, announcer
        self._tell, self._chores = tell, chores
        self._reading = ShareReading(coordinator)
        self._shares: dict[Key, Share] = {}
        self._dropped_at_login: list[DroppedShare] | None = None
        self._user_id = ""

    def __len__(self) -> int:
        return len(self._shares)

    # ------------------------------------------------------------ a session begins and ends

    def resume(self, user_id: str) -> None:
        """Serve what this account shared here and did not change; read the rest again. Announces nothing."""
        self._user_id = user_id
        self._dropped_at_login = []
        for file in self._ledger.shares_of(user_id):
            share = self._shares[file.group_id, file.name] = Share(file)
            self._serve_or_look_closer(share, file)

    async def settle(self, patience_s: float) -> list[DroppedShare]:
        """Wait so long for the files that are read again since the login. Returns the shares that ended; later ones are
        told.
        """
        reading = {share.task for share in self._shares.values() if share.task is not None}
        if reading:
            await asyncio.wait(reading, timeout=patience_s)
        dropped, self._dropped_at_login = self._dropped_at_login or [], None
        for share in self._shares.values():
            share.is_said = share.state == "rereading"  # by the report of the login
        return dropped

    def suspend(self) -> None:
        """After the coordinator stopped: forget them here. The ledger keeps them for the next login."""
        for share in self._shares.values():
            self._let_go(share, "logged out")
        self._shares.clear()
        self._dropped_at_login = None

    # ------------------------------------------------------------ begun and ended

    async def add(self, file: SharedFile, file_id: int | None = None) -> None:
        """Share a file and announce it. `file_id`: if the coordinator serves it already. Raises StorageError."""
        number = self._coordinator.serving.begin(file) if file_id is None else file_id
        before = self._shares.pop((file.group_id, file.name), None)
        if before is not None:
            self._let_go(before, "shared anew")
        share = Share(file)
        share.begin_serving(file, number)
        self._shares[share.key] = share
        self._ledger.add_share(self._user_id, file)
        await self._renew(share)

    async def remove(self, group_id: str, name: str, reason: str) -> SharedFile | None:
        """End a share for good and announce that, wherever the file is. None if it was not shared."""
        share = self._end((group_id, name), reason)
        if share is None:
            return None
        await self._renew(share)
        return share.file

    def forget_group(self, group_id: str, reason: str) -> None:
        """This account is not a member any more: end the shares. The tracker knows it."""
        for key in [key for key in self._shares if key[0] == group_id]:
            self._end(key, reason)

    def drop_unknown(self, unknown: list[requests.Share]) -> list[DroppedShare]:
        """A tracker does not accept these shares: end them."""
        dropped: list[DroppedShare] = []
        for gone in unknown:
            for share in self._with_content((gone.group_id, gone.root)):
                self._end(share.key, _UNKNOWN)
                dropped.append(DroppedShare(*share.key, share.file.path, _UNKNOWN))
        return dropped

    def drop_and_tell(self, unknown: list[requests.Share]) -> None:
        """The same, and the subscribers are told."""
        for share in self.drop_unknown(unknown):
            self._tell(ShareDropped(share))

    # ------------------------------------------------------------ asked

    def path_of(self, group_id: str, name: str) -> Path | None:
        """Where the file is, if its marks are those of the shared file."""
        share = self._shares.get((group_id, name))
        if share is None or share.state != "served":
            return None
        path = Path(share.file.path)
        return path if _stamp_of(path) == share.file.stamp else None

    async def check_replaceable(self, file: SharedFile) -> None:
        """Raises LocalError if another content of this name is served from here, as it was when it was shared."""
        roots = self.roots()
        key = find_key((file.group_id, file.name), roots)
        if roots.get(key, file.root) == file.root:
            return
        await self.look_now(roots[key])  # whether it was moved, or touched only
        path = self.path_of(*key)
        if path is not None:
            raise LocalError(
                f"you share another file as {key[1]!r} in {key[0]}, from {path}; end that first (stop_share "
                f"{key[0]} {shlex.quote(key[1])}), or rename this one",
                "file_conflict",
            )

    def roots(self) -> dict[Key, bytes]:
        """Which content is shared under each name, wherever the files are now."""
        return {key: share.file.root for key, share in self._shares.items()}

    def statuses(self) -> list[ShareStatus]:
        """All of this account, in the order of groups and names."""
        return [self._shares[key].status() for key in sorted(self._shares)]

    # ------------------------------------------------------------ what happens to a file

    async def look_now(self, root: bytes) -> bool:
        """Whether something with this content that was served is not what it was, or not there. A moment is waited
        for the verdict, so that the trackers know it.
        """
        await self._look_at([each for each in self._shares.values() if each.file.root == root and each.file_id])
        reading = {each.task for each in self._shares.values() if each.file.root == root and each.task is not None}
        if reading:
            await asyncio.wait(reading, timeout=_LONG_S)
        return bool(reading)

    async def look(self) -> None:
        """Compare the marks of the served files, and look for those that were away. Call it now and then."""
        now_s = time.monotonic()
        await self._look_at(
            [each for each in self._shares.values() if each.state != "rereading" and each.look_at_s <= now_s]
        )

    async def _look_at(self, due: list[Share]) -> None:
        states = [share.state for share in due]
        stamps = await asyncio.to_thread(_stamps_of, [share.file.path for share in due]) if due else []
        for share, state, stamp in zip(due, states, stamps, strict=True):
            if share.state != state or self._shares.get(share.key) is not share:
                continue  # something else happened to it meanwhile
            if state == "served" and stamp != share.file.stamp:
                self._doubt(share, _MOVED_MARKS if stamp is not None else "it is not where it was")
            elif state != "served" and stamp is not None:
                self._read_again(share, "it is there again")
            elif state != "served":
                share.look_later()

    def broken(self, file_id: int, error_number: int, reason: str) -> None:
        """A worker could not read this file, or its marks changed (ESTALE)."""
        share = next((each for each in self._shares.values() if each.file_id == file_id), None)
        if share is None:
            return
        if error_number == errno.ESTALE:
            self._doubt(share, _MOVED_MARKS)
        else:
            share.forget_delay()
            self._lose(share, Verdict("unreadable", Path(share.file.path), reason=f"{share.file.path}: {reason}"))
            self._chores.soon(self._renew(share))

    async def check_piece(self, file_id: int, piece: int) -> None:
        """Somebody who was sent this piece says that it does not match. If so, it is this client's copy that is wrong;
        if not, the path to the other one is, or the other one itself.
        """
        share = next((each for each in self._shares.values() if each.file_id == file_id), None)
        if share is None:
            return
        try:
            manifest = self._ledger.manifest_of(share.file) or (await manifests.fetch(self._session, *share.key))[0]
            if manifest.root != share.file.root or share.file_id != file_id:
                return
            found = await self._reading.hash_served(file_id, piece, share.file.geometry)
        except (ShoalError, OSError):
            return  # there is nothing to compare it with, or it cannot be read, which a worker will say
        if found == manifest.leaves[piece].tobytes() or share.file_id != file_id:
            return
        self._tell(ShareWrong(share.file.name, share.file.group_id, piece, share.file.path))
        share.is_doubted = True
        self._doubt(share, "a piece of it is wrong")

    def _serve_or_look_closer(self, share: Share, file: SharedFile) -> None:
        try:
            number = self._coordinator.serving.begin(file)
        except StorageError as error:
            if error.code == MARKS_MOVED:
                self._read_again(share, _MOVED_MARKS)
            else:
                self._lose(share, Verdict.of(error, Path(file.path)))
            return
        is_other = file != share.file
        share.begin_serving(file, number)
        if is_other:
            self._ledger.add_share(self._user_id, file)

    def _doubt(self, share: Share, reason: str) -> None:
        """It may have been changed: serve nothing of it before it was read."""
        assert share.file_id is not None
        said = f"its sharer reads it again: {reason}"
        share.suspend(self._coordinator.serving.suspend(share.file_id, REREADING, said))
        self._read_again(share, reason)

    def _read_again(self, share: Share, reason: str) -> None:
        was_away = share.state in ("missing", "unreadable") and self._dropped_at_login is None
        share.begin_reading(reason, asyncio.create_task(self._examine(share, was_away=was_away)))

    async def _examine(self, share: Share, *, was_away: bool) -> None:
        await asyncio.sleep(max(0.0, share.rest_until_s - time.monotonic()))
        begun_s = time.monotonic()

        def on_progress(checked_bytes: int, total_bytes: int) -> None:
            share.checked_bytes = checked_bytes
            if not share.is_said and time.monotonic() - begun_s > _LONG_S:
                share.is_said = True
                self._tell(ShareRereading(share.file.path, share.file.group_id, reason))

        reason = share.reason
        try:
            verdict = await self._reading.examine(share.file, share.descriptor, on_progress, must_read=share.is_doubted)
            share.end_reading(time.monotonic() - begun_s)
            await self._conclude(share, verdict, was_away=was_away)
        except ShoalError as error:
            self._tell(WorkFailed(error))

    async def _conclude(self, share: Share, verdict: Verdict, *, was_away: bool) -> None:
        if verdict.state == "changed":
            return await self._drop(share, verdict.reason)
        if verdict.stamp is None:
            self._lose(share, verdict)
            return await self._renew(share)
        before = share.file.path
        self._serve_or_look_closer(share, replace(share.file, path=str(verdict.path), stamp=verdict.stamp))
        if share.state != "served":
            return await self._renew(share)
        path, group_id = share.file.path, share.file.group_id
        if path != before:
            self._tell(ShareMoved(before, path, group_id))
        elif was_away:
            self._tell(ShareBack(path, group_id))
        elif share.is_said:
            self._tell(ShareRechecked(path, group_id))
        await self._renew(share)

    async def _drop(self, share: Share, reason: str) -> None:
        """It was read and is another file: end the share."""
        self._ledger.forget(Path(share.file.path))
        self._end(share.key, reason)
        dropped = DroppedShare(*share.key, share.file.path, reason)
        if self._dropped_at_login is not None:
            self._dropped_at_login.append(dropped)
        else:
            self._tell(ShareDropped(dropped))
        await self._renew(share)

    def _lose(self, share: Share, verdict: Verdict) -> None:
        """It is away. It stays known, but is neither served nor announced until it is back."""
        assert verdict.state in ("missing", "unreadable")
        was_served = share.file_id is not None or share.descriptor is not None
        self._let_go(share, f"its sharer cannot read it: {verdict.reason}")
        share.lose(verdict.state, verdict.reason)
        if was_served and self._dropped_at_login is None:
            self._tell(ShareAway(share.state, share.file.group_id, verdict.reason))

    # ------------------------------------------------------------ inside

    def _end(self, key: Key, reason: str) -> Share | None:
        share = self._shares.pop(key, None)
        if share is not None:
            self._let_go(share, reason)
            self._ledger.drop_share(self._user_id, *key)
        return share

    def _let_go(self, share: Share, reason: str) -> None:
        """Stop serving and reading it."""
        was_served_as = share.let_go()
        if was_served_as is not None:
            self._coordinator.serving.end(was_served_as, reason)
        elif not any(each.state == "rereading" for each in self._with_content(share.content) if each is not share):
            self._coordinator.serving.release(*share.content)

    async def _renew(self, share: Share) -> None:
        """Announce this content as it is now."""
        self.drop_unknown(await self._announcer.renew(*share.content))

    def _with_content(self, content: tuple[str, bytes]) -> list[Share]:
        return [share for share in self._shares.values() if share.content == content]


def _stamps_of(paths: list[str]) -> list[Stamp | None]:
    return [_stamp_of(Path(path)) for path in paths]


def _stamp_of(path: Path) -> Stamp | None:
    """None if it cannot be looked at."""
    try:
        return Stamp.of(path.stat())
    except OSError:
        return None

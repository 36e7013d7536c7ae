"""The public API of the engine: accounts and groups through the trackers, files through the coordinator.

    client = await Client.start("127.0.0.1", 7001, Path("tracker_info.txt"))
    client.subscribe(print)
    await client.login("alice", "secret")
    await client.download_file("lab", "weights.bin", Path("/data"))
    status = await client.wait_download("lab", "weights.bin")

The client makes the parts and calls them in order. It does not decide: `swarm` decides what is fetched from which peer,
the tracker who may do what. Every expected failure is a ShoalError with a code and a sentence. A program that uses the
client needs `if __name__ == "__main__":`, since the worker processes import its main module.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.client import arguments as checked
from engine.client import manifests
from engine.client.announcer import Announcer
from engine.client.chores import Chores
from engine.client.event_router import EventRouter
from engine.client.events import DownloadStuck
from engine.client.fetching.downloads import Downloads
from engine.client.housekeeping import Housekeeping
from engine.client.known_files import KnownFiles
from engine.client.session import TrackerSession
from engine.client.sharing import uploads
from engine.client.sharing.shares import Shares
from engine.client.sharing.withdrawals import Withdrawals
from engine.client.spellings import spelling
from engine.client.state_folder import StateFolder, default_folder
from engine.client.subscribers import Subscriber, Subscribers
from engine.client.tracker_list import read_tracker_info
from engine.client.transfer_directory import TransferDirectory
from engine.coordinator.coordinator import Coordinator
from engine.errors import LocalError, ShoalError
from engine.ipc import fork_folder
from engine.net.dial_limit import DialLimit
from engine.net.listener import Listener
from engine.process import descriptor_limit
from engine.reports import (
    DownloadStatus,
    InviteReport,
    LeaveReport,
    LoginReport,
    MemberReport,
    ShareStatus,
    StopReport,
    UploadReport,
)
from engine.settings import Settings
from engine.storage import file_names
from engine.storage.ledger import Ledger
from tracker.protocol import invite_codes, requests, results, tickets, types
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.results import AuditEntry, FileEntry, GroupEntry

__all__ = ["AuditEntry", "Client", "FileEntry", "GroupEntry"]

_RECHECK_PATIENCE_S = 1.0

_AboutMember = requests.AcceptRequest | requests.RejectRequest | requests.RemoveMember | requests.TransferOwnership


class Client:
    """One user's client. `start` makes it. Call all methods on the event loop on which it was started."""

    def __init__(
        self,
        host: str,
        port: int,
        addresses: list[TrackerAddress],
        state: StateFolder,
        settings: Settings,
    ) -> None:
        """Use `start`. Raises LocalError if the address is taken or the state folder is damaged."""
        self._state = state
        self._subscribers = Subscribers()
        tell = self._subscribers.tell
        self._chores = Chores(tell)
        directory, self._router = TransferDirectory(tell, self._chores), EventRouter(tell, self._chores)
        self._ledger = Ledger(state.path / "client.sqlite")
        self._coordinator = Coordinator(settings, tickets.check, directory)
        self._listener = Listener(host, port, self._coordinator.accept, DialLimit(settings))
        self._session = TrackerSession(addresses, state.path, settings.peers_wanted, self._router, tell)
        self._announcer = announcer = Announcer(self._session, self._coordinator.copies, host, self.port)
        self._shares = Shares(self._ledger, self._coordinator, self._session, announcer, tell, self._chores)
        self._downloads = Downloads(
            self._ledger, self._coordinator, self._session, announcer, self._shares, self._subscribers
        )
        self._files = KnownFiles(self._session, self._shares, self._downloads)
        self._withdrawals = Withdrawals(self._ledger, self._session, self._shares, tell)
        self._housekeeping: asyncio.Task[None]
        directory.connect(self._session, announcer, self._shares)
        self._router.connect(
            self._session, self._coordinator, announcer, self._shares, self._downloads, self._withdrawals, host
        )

    @classmethod
    async def start(
        cls,
        host: str,
        port: int,
        tracker_info: Path,
        state_folder: Path | None = None,
        *,
        settings: Settings | None = None,
    ) -> "Client":
        """A client that listens at host:port (0: any free port) and has its workers, logged out. Raises ShoalError."""
        addresses = read_tracker_info(tracker_info)
        descriptor_limit.raise_to_hard_limit()
        state = StateFolder(state_folder or default_folder(host, port))
        try:
            client = cls(host, port, addresses, state, settings or Settings())
        except BaseException:
            state.close()
            raise
        try:
            fork_folder.take_note(state.path / "fork_folder")
            await client._coordinator.start()
            client._housekeeping = asyncio.create_task(
                Housekeeping(client._ledger, client._shares, client._subscribers.tell).run()
            )
        except BaseException:
            client._listener.close()
            client._ledger.close()
            state.close()
            raise
        return client

    async def close(self) -> None:
        """Log out if need be, end the pool, release the address and the state folder."""
        self._listener.close()
        if self.user_id is not None:
            with contextlib.suppress(ShoalError):
                await self.logout()
        self._housekeeping.cancel()
        await self._withdrawals.close()
        await self._chores.close()
        await self._session.close()
        await self._coordinator.close()
        self._ledger.close()
        self._state.close()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """`subscriber` is called with all that happens from now on (see events). Returns what ends that."""
        return self._subscribers.subscribe(subscriber)

    @property
    def user_id(self) -> str | None:
        """None while logged out."""
        return self._session.user_id

    @property
    def port(self) -> int:
        """Where this client serves."""
        return self._listener.port

    @property
    def state_folder(self) -> Path:
        return self._state.path

    # ------------------------------------------------------------ accounts

    async def create_user(self, user_id: str, password: str, invite: str = "") -> None:
        """`invite`: where the tracker asks for one (refused with code invite_needed otherwise)."""
        user_id = checked.new_id("user id", user_id)
        await self._change(requests.CreateUser(user_id, checked.password(password), checked.invite(invite)))

    async def create_invite(self, life_s: float) -> InviteReport:
        """A code that lets one person make an account; the tracker keeps its hash."""
        self._require_login()
        code = secrets.token_bytes(types.INVITE_CODE_BYTES)
        request = requests.CreateInvite(invite_codes.invite_digest(code), life_s)
        invited = await self._session.call(request, results.Invited)
        return InviteReport(invite_codes.invite_text(code), invited.expires_at_s)

    async def login(self, user_id: str, password: str) -> LoginReport:
        """Serving begins, and earlier shares and downloads of this account go on. The id may be typed in any capital
        letters.
        """
        if self.user_id is not None:
            raise LocalError(f"{self.user_id} is logged in; log out first", "logged_in")
        identity = await self._session.login(checked.user_id(user_id), checked.password(password))
        user_id = self.user_id or user_id  # as it was spelled when the account was made
        self._coordinator.configure(identity)
        self._shares.resume(user_id)
        dropped = self._shares.drop_unknown(await self._announcer.announce_all())
        dropped += await self._shares.settle(_RECHECK_PATIENCE_S)
        for name, error in await self._downloads.resume(user_id):
            self._subscribers.tell(DownloadStuck(name, str(error)))
        waiting = [share for share in self._shares.statuses() if share.state != "served"]
        resumed = len(self._shares.statuses()) - len(waiting)
        return LoginReport(user_id, resumed, dropped, self._downloads.count_active(), waiting)

    async def logout(self) -> None:
        """Serving stops at once; downloads pause. Both go on at the next login."""
        self._require_login()
        await self._router.stop_transfers()
        await self._session.logout()

    async def change_password(self, old_password: str, new_password: str) -> None:
        """Every other session of the account ends."""
        self._require_login()
        request = requests.ChangePassword(checked.password(old_password), checked.password(new_password))
        await self._session.revoke_others(request)

    async def revoke_sessions(self) -> None:
        """End every other session of this account, wherever it is; peers stop serving them."""
        self._require_login()
        await self._session.revoke_others(requests.RevokeSessions())

    # ------------------------------------------------------------ groups

    async def create_group(self, group_id: str, is_open: bool = False) -> None:
        """`is_open`: for a trusted network; files cross it unencrypted, to members only and verified all the same."""
        self._require_login()
        await self._change(requests.CreateGroup(checked.new_id("group id", group_id), is_open))

    async def join_group(self, group_id: str) -> str:
        """Ask to be let in. Returns the group's id as its maker spelled it."""
        self._require_login()
        done = await self._change(requests.JoinGroup(checked.group_id(group_id)))
        return spelling(group_id, done.group_id)

    async def leave_group(self, group_id: str) -> LeaveReport:
        """Shares and downloads of the group end here."""
        self._require_login()
        group_id = await self._files.group(checked.group_id(group_id))
        left = await self._session.call(requests.LeaveGroup(group_id), results.Left)
        self._shares.forget_group(group_id, "left the group")
        await self._downloads.leave_group(group_id)
        return LeaveReport(group_id, left.new_owner, left.is_removed)

    async def list_requests(self, group_id: str) -> results.Requests:
        """The accounts that ask to join. For the group's owner."""
        self._require_login()
        listed = await self._session.call(requests.ListRequests(checked.group_id(group_id)), results.Requests)
        return replace(listed, group_id=spelling(group_id, listed.group_id))

    async def accept_request(self, group_id: str, user_id: str) -> MemberReport:
        return await self._change_members(requests.AcceptRequest, group_id, user_id)

    async def reject_request(self, group_id: str, user_id: str) -> MemberReport:
        return await self._change_members(requests.RejectRequest, group_id, user_id)

    async def remove_member(self, group_id: str, user_id: str) -> MemberReport:
        """For the group's owner. Peers stop serving that account as soon as a tracker tells them."""
        return await self._change_members(requests.RemoveMember, group_id, user_id)

    async def transfer_ownership(self, group_id: str, user_id: str) -> MemberReport:
        """Another member becomes the owner; this account stays a member."""
        return await self._change_members(requests.TransferOwnership, group_id, user_id)

    async def audit(self, group_id: str) -> results.Audit:
        """Who joined, left or was removed, by whose doing and from which address; oldest first. For the owner."""
        self._require_login()
        log = await self._session.call(requests.FetchAudit(checked.group_id(group_id)), results.Audit)
        return replace(log, group_id=spelling(group_id, log.group_id))

    async def list_groups(self) -> list[GroupEntry]:
        self._require_login()
        return (await self._session.call(requests.ListGroups(), results.Groups)).groups

    async def list_files(self, group_id: str) -> results.Files:
        self._require_login()
        listed = await self._session.call(requests.ListFiles(checked.group_id(group_id)), results.Files)
        return replace(listed, group_id=spelling(group_id, listed.group_id))

    # ------------------------------------------------------------ files

    async def upload_file(
        self, path: Path, group_id: str, on_progress: Callable[[int, int], None] | None = None
    ) -> UploadReport:
        """Share a file of this disk. All workers hash it, once: the hashes are kept while the file is unchanged.

        `on_progress(hashed, total)` in bytes.
        """
        self._require_login()
        started_s = time.monotonic()
        path = Path(os.path.abspath(path))
        uploads.name_of(path)
        # A refusal (not a member) should come before the file is read.
        group_id = await self._files.group(checked.group_id(group_id))
        reading = uploads.Reading(on_progress)
        file, manifest = await uploads.describe(path, group_id, self._coordinator, self._ledger, reading.progressed)
        await self._shares.check_replaceable(file)
        async with self._withdrawals.held_back((group_id, file.name)):
            published = await manifests.publish(self._session, group_id, file.name, manifest)
            file = replace(file, name=published.spelling)
            await self._shares.add(file)
        seconds = time.monotonic() - started_s
        root, size_bytes = file.root.hex(), manifest.geometry.size_bytes
        return UploadReport(
            group_id, file.name, str(path), size_bytes, root, published.was_known, seconds, published.has_replaced,
            reading.done_bytes, reading.done_bytes / max(seconds, 1e-3),
        )  # fmt: skip

    def show_shares(self) -> list[ShareStatus]:
        """Everything that this account shares from here, also files that are not served at the moment."""
        self._require_login()
        return self._shares.statuses()

    async def stop_share(self, group_id: str, file_name: str) -> StopReport:
        """End a share for good; the file itself stays. The publisher and the group's owner can also free a name that
        this client does not share.
        """
        self._require_login()
        key = self._files.find(checked.group_id(group_id), checked.file_name(file_name))
        if self._downloads.is_downloading(key):
            raise LocalError(f"{key[1]} is still being downloaded; cancel_download ends that too", "downloading")
        await self._downloads.settle(key)
        return await self._withdrawals.stop(key)

    async def download_file(
        self,
        group_id: str,
        file_name: str,
        destination: Path | str,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> DownloadStatus:
        """Begin to fetch a file into a folder or to a path, or continue an earlier download. Returns its first status.

        A target that exists is refused, unless it is this file: then it is verified and shared, and `on_progress(read,
        total)` is called while it is read.
        """
        self._require_login()
        key = (await self._files.group(checked.group_id(group_id)), checked.file_name(file_name))
        target = file_names.target_of(destination, file_name)
        return await self._downloads.begin(
            key, target, on_progress, respell=lambda name: file_names.target_of(destination, name)
        )

    async def wait_download(self, group_id: str, file_name: str) -> DownloadStatus:
        """Returns when the download is complete, failed, cancelled, or paused by a logout."""
        return await self._downloads.wait(self._files.find(group_id, file_name))

    def show_downloads(self) -> list[DownloadStatus]:
        """All downloads of this session, in the order in which they were begun."""
        self._require_login()
        return self._downloads.statuses()

    async def cancel_download(self, group_id: str, file_name: str) -> None:
        """Stop a download and remove what was fetched."""
        self._require_login()
        await self._downloads.cancel(self._files.find(group_id, file_name))

    async def _change(self, request: requests.Request) -> results.Done:
        """Ask for something that is done or refused. Raises RefusedByTracker, TrackerUnavailable."""
        return await self._session.call(request, results.Done)

    async def _change_members(self, kind: type[_AboutMember], group_id: str, user_id: str) -> MemberReport:
        self._require_login()
        done = await self._change(kind(checked.group_id(group_id), checked.user_id(user_id)))
        return MemberReport(spelling(group_id, done.group_id), spelling(user_id, done.user_id))

    def _require_login(self) -> None:
        if self.user_id is None:
            raise LocalError("you are not logged in; use login first", "not_logged_in")

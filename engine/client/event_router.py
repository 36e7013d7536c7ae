"""Where what happens by itself comes in and is passed on: the trackers' events, the coordinator's questions and
findings.

It exists because both sides need somebody to talk to before the other is made. It decides nothing; a sentence for the
user is all it adds.
"""

from collections.abc import Callable, Coroutine

from engine.client.announcer import Announcer
from engine.client.clock_check import ClockCheck
from engine.client.events import (
    AddressUnlikely,
    ClockDiffers,
    Event,
    LeftGroup,
    Notice,
    OutOfReach,
    OwnerChanged,
    RequestAnswered,
    RequestArrived,
    SessionEnded,
    ShareDropped,
    WorkFailed,
)
from engine.client.fetching.downloads import Downloads
from engine.client.session import TrackerSession, peer_address
from engine.client.sharing.shares import Shares
from engine.client.sharing.withdrawals import Withdrawals
from engine.coordinator.coordinator import Coordinator
from engine.coordinator.directory import GroupTicket
from engine.coordinator.download.peer_answers import PeerReport
from engine.coordinator.peer_links import PeerAddress
from engine.errors import ShoalError
from engine.process.background_tasks import BackgroundTasks
from engine.reports import DroppedShare
from tracker.client.identity import Identity
from tracker.protocol import events, requests, results


class EventRouter:
    """The Directory of the coordinator and the TrackerDelegate of the session. `connect` before use."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._chores = BackgroundTasks()
        self._clock_check = ClockCheck()
        self._place_said = ""

    def connect(
        self,
        session: TrackerSession,
        coordinator: Coordinator,
        announcer: Announcer,
        shares: Shares,
        downloads: Downloads,
        withdrawals: Withdrawals,
        host: str,
        port: int,
    ) -> None:
        """Now everyone is there."""
        self._session, self._coordinator, self._announcer = session, coordinator, announcer
        self._shares, self._downloads, self._withdrawals = shares, downloads, withdrawals
        self._host, self._port = host, port

    async def close(self) -> None:
        await self._chores.cancel_all()

    def notice(self, notice: Notice) -> None:
        self._tell(notice)

    # ------------------------------------------------------------ asked by the coordinator

    async def find_peers(self, group_id: str, root: bytes, report: PeerReport) -> list[PeerAddress]:
        return await self._session.find_peers(group_id, root, report)

    async def ticket_for(self, group_id: str, *, is_stale: bool = False) -> GroupTicket:
        return await self._session.ticket_for(group_id, is_stale=is_stale)

    def holding_changed(self, group_id: str, root: bytes) -> None:
        self._soon(self._renew(group_id, root))

    async def _renew(self, group_id: str, root: bytes) -> None:
        if self._session.user_id is not None:
            self.say_dropped(self._shares.drop_unknown(await self._announcer.renew(group_id, root)))

    def share_broken(self, file_id: int, error_number: int, reason: str) -> None:
        self._shares.broken(file_id, error_number, reason)

    async def check_share(self, file_id: int, piece: int) -> None:
        await self._shares.check_piece(file_id, piece)

    # ------------------------------------------------------------ told by the trackers

    def snapshot(self) -> requests.Announce:
        """All that is served now."""
        return requests.Announce(self._host, self._port, self._announcer.snapshot())

    async def on_session(self, tracker_index: int, announced: results.Announced | None) -> None:
        if announced is not None:
            self.say_dropped(self._shares.drop_unknown(announced.unknown))
            self._soon(self._downloads.let_in())  # the answer to a request may have come while no tracker was there
        self._soon(self._withdrawals.say())

    def on_identity(self, identity: Identity | None, reason: str) -> None:
        if identity is not None:
            self._coordinator.configure(self._session.configuration(identity))
        else:
            why = reason.removesuffix("; log in again")  # a refusal gives that advice itself
            self._tell(SessionEnded(why))
            self._soon(self.stop_transfers())

    def on_clock(self, tracker_index: int, ahead_s: float) -> None:
        said = self._clock_check.heard(tracker_index, ahead_s)
        if said is not None:
            self._tell(ClockDiffers(said))

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.GroupEpoch():
                self._group_shrank(event)
            case events.OutOfReach():
                self._say_out_of_reach(event)
            case events.PeerJoined():
                self._coordinator.peer_joined(event.group_id, event.root, peer_address(event.peer))
            case events.OwnerChanged():
                self._tell(OwnerChanged(event.group_id, event.owner))
            case events.RequestArrived():
                self._tell(RequestArrived(event.group_id, event.user_id))
            case events.RequestAnswered():
                self._tell(RequestAnswered(event.group_id, event.is_accepted))
                if event.is_accepted:
                    self._soon(self._downloads.let_in(event.group_id))

    def _say_out_of_reach(self, event: events.OutOfReach) -> None:
        place = f"[{event.host}]:{event.port}" if ":" in event.host else f"{event.host}:{event.port}"
        if event.members:
            self._tell(OutOfReach(place, event.members))
        elif place != self._place_said:  # every tracker says it, and again when it is back
            self._place_said = place
            self._tell(AddressUnlikely(self._host, place))

    def _group_shrank(self, event: events.GroupEpoch) -> None:
        self._session.forget_ticket(event.group_id)
        self._coordinator.raise_epoch(event.group_id, event.epoch, event.removed, event.spared)
        if event.removed == self._session.user_id and not event.spared:
            self._tell(LeftGroup(event.group_id))
            self._shares.forget_group(event.group_id, "you are not a member any more")
            self._soon(self._downloads.put_out(event.group_id))

    # ------------------------------------------------------------ what follows

    async def leave_group(self, group_id: str) -> None:
        """What is shared in it and fetched from it here stops."""
        self._shares.forget_group(group_id, "left the group")
        await self._downloads.leave_group(group_id)

    async def stop_transfers(self) -> None:
        """Serve nothing from now on; downloads pause."""
        await self._coordinator.stop()
        await self._downloads.suspend()
        self._shares.suspend()

    def say_dropped(self, dropped: list[DroppedShare]) -> None:
        for share in dropped:
            self._tell(ShareDropped(share))

    def _soon(self, work: Coroutine[None, None, None]) -> None:
        self._chores.start(self._say_failure(work))

    async def _say_failure(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except ShoalError as error:
            self._tell(WorkFailed(error))

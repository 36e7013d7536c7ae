"""Receives what the trackers report without being asked, and calls the part of this client that it concerns.

The session is made before the parts that act on such reports, so the router is handed to it first and connected later.
It decides nothing. What a user should know it tells the subscribers.

Not here: what the coordinator asks (transfer_directory).
"""

from collections.abc import Callable

from engine.client.announcer import Announcer
from engine.client.chores import Chores
from engine.client.clock_check import ClockCheck
from engine.client.events import (
    AddressUnlikely,
    ClockDiffers,
    Event,
    LeftGroup,
    OutOfReach,
    OwnerChanged,
    RequestAnswered,
    RequestArrived,
    SessionEnded,
)
from engine.client.fetching.downloads import Downloads
from engine.client.session import TrackerSession, peer_address
from engine.client.sharing.shares import Shares
from engine.client.sharing.withdrawals import Withdrawals
from engine.coordinator.coordinator import Coordinator
from tracker.client.identity import Identity
from tracker.protocol import events, requests, results


class EventRouter:
    """The TrackerDelegate of the session: what trackers say comes in here. `connect` before use."""

    def __init__(self, tell: Callable[[Event], None], chores: Chores) -> None:
        self._tell, self._chores = tell, chores
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
    ) -> None:
        """`host`: where this client listens."""
        self._session, self._coordinator, self._announcer = session, coordinator, announcer
        self._shares, self._downloads, self._withdrawals = shares, downloads, withdrawals
        self._host = host

    def snapshot(self) -> requests.Announce:
        """All that is served now, for a tracker with which a session begins."""
        return self._announcer.snapshot()

    async def on_session(self, tracker_index: int, announced: results.Announced | None) -> None:
        if announced is not None:
            self._shares.drop_and_tell(announced.unknown)
            # A request to join may have been answered while no tracker was there.
            self._chores.soon(self._downloads.let_in())
        self._chores.soon(self._withdrawals.say())

    def on_identity(self, identity: Identity | None, reason: str) -> None:
        if identity is not None:
            self._coordinator.configure(self._session.configuration(identity))
        else:
            why = reason.removesuffix("; log in again")  # a refusal gives that advice itself
            self._tell(SessionEnded(why))
            self._chores.soon(self.stop_transfers())

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
                    self._chores.soon(self._downloads.let_in(event.group_id))

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
            self._chores.soon(self._downloads.put_out(event.group_id))

    async def stop_transfers(self) -> None:
        """Serve nothing from now on; downloads pause."""
        await self._coordinator.stop()
        await self._downloads.suspend()
        self._shares.suspend()

"""What a TrackerClient tells its owner, and the one thing that it asks of it.

The methods are called on the event loop and must not raise. Not here: calls that the owner makes (client).
"""

from typing import Protocol

from tracker.client.identity import Identity
from tracker.protocol.events import Event
from tracker.protocol.requests import Announce
from tracker.protocol.results import Announced


class TrackerDelegate(Protocol):
    def snapshot(self) -> Announce | None:
        """Everything shared right now; None while nothing can be served yet."""

    def on_event(self, event: Event) -> None:
        """Something happened. An event of a change comes once; a PeerJoined may come from every tracker."""

    async def on_session(self, tracker_index: int, announced: Announced | None) -> None:
        """There is a session with that tracker. `announced` is its answer to the snapshot, or a late one to a change.
        It is None if there was no snapshot, and when the tracker answers again after a time in which it did not.
        """

    def on_identity(self, identity: Identity | None, reason: str) -> None:
        """The certificate was renewed, or (None) the session is over and somebody has to log in; `reason` says why."""

    def on_clock(self, tracker_index: int, ahead_s: float) -> None:
        """How far this machine's clock is ahead of that tracker's, to within seconds. Called again and again."""

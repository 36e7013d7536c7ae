"""What the coordinator asks of the client, and tells it: peers, tickets, and what became of files.

The coordinator knows no tracker; the client answers these questions with what its trackers say.
"""

from typing import NamedTuple, Protocol

from engine.coordinator.download.peer_answers import PeerReport
from engine.coordinator.peer_links import PeerAddress
from engine.reports import Notice


class GroupTicket(NamedTuple):
    """What is shown to peers, and whether the group's files may cross open links."""

    ticket: str
    is_open: bool


class Directory(Protocol):
    """Implemented by the client, and by fakes in tests and benchmarks."""

    async def find_peers(self, group_id: str, root: bytes, report: PeerReport) -> list[PeerAddress]:
        """`report`: what became of the peers that were named before. Raises ShoalError."""

    async def ticket_for(self, group_id: str, *, is_stale: bool = False) -> GroupTicket:
        """One that holds for a while yet; `is_stale`: the last one was refused. Raises ShoalError."""

    def share_broken(self, file_id: int, error_number: int, reason: str) -> None:
        """A complete file could not be read, or carries other marks (ESTALE): it has to be suspended or ended."""

    async def check_share(self, file_id: int, piece: int) -> None:
        """A peer that was sent this piece of a complete file says that it does not match: read it, and act on that."""

    def holding_changed(self, group_id: str, root: bytes) -> None:
        """What is served of this content (LocalCopies.holding) changed by itself; the trackers have to hear of it."""

    def notice(self, notice: Notice) -> None:
        """Tell the user."""

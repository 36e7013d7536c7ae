"""Answers what the coordinator asks, and takes what it reports: the Directory of transfers.

The coordinator is made before the session and the shares that can answer, so this object is handed to it first and
connected later. Each method calls the part that answers and adds nothing.

Not here: what the trackers report (event_router).
"""

from collections.abc import Callable

from engine.client.announcer import Announcer
from engine.client.chores import Chores
from engine.client.events import Event, Notice
from engine.client.session import TrackerSession
from engine.client.sharing.shares import Shares
from engine.coordinator.directory import GroupTicket
from engine.coordinator.download.peer_answers import PeerReport
from engine.coordinator.peer_links import PeerAddress


class TransferDirectory:
    """A coordinator.directory.Directory. `connect` before use."""

    def __init__(self, tell: Callable[[Event], None], chores: Chores) -> None:
        self._tell, self._chores = tell, chores

    def connect(self, session: TrackerSession, announcer: Announcer, shares: Shares) -> None:
        self._session, self._announcer, self._shares = session, announcer, shares

    async def find_peers(self, group_id: str, root: bytes, report: PeerReport) -> list[PeerAddress]:
        return await self._session.find_peers(group_id, root, report)

    async def ticket_for(self, group_id: str, *, is_stale: bool = False) -> GroupTicket:
        return await self._session.ticket_for(group_id, is_stale=is_stale)

    def holding_changed(self, group_id: str, root: bytes) -> None:
        self._chores.soon(self._announce(group_id, root))

    def share_broken(self, file_id: int, error_number: int, reason: str) -> None:
        self._shares.broken(file_id, error_number, reason)

    async def check_share(self, file_id: int, piece: int) -> None:
        await self._shares.check_piece(file_id, piece)

    def notice(self, notice: Notice) -> None:
        self._tell(notice)

    async def _announce(self, group_id: str, root: bytes) -> None:
        if self._session.user_id is not None:
            self._shares.drop_and_tell(await self._announcer.renew(group_id, root))

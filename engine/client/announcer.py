"""Tells the trackers what this client has. It reads that off what is served and fetched at the moment of telling.

Trackers know swarms, (group, root). One swarm may be shared under several names and fetched under others at the same
time. So a share or a download that ends does not say that the swarm is over: it asks for the swarm to be announced
again, and the swarm is withdrawn only when nothing of it is served here any more.

Invariant: this is the only file that makes a `protocol.Share`.
Not for: when to announce (shares, downloads), how an announcement travels (session).
"""

from engine.client.session import TrackerSession
from engine.coordinator.download.local_copies import LocalCopies
from tracker.protocol import requests


class Announcer:
    """One per client."""

    def __init__(self, session: TrackerSession, copies: LocalCopies, host: str, port: int) -> None:
        """`host`, `port`: where this client serves."""
        self._session, self._copies = session, copies
        self._host, self._port = host, port

    async def announce_all(self) -> list[requests.Share]:
        """Tell every tracker that is there all that is served; returns the shares that one of them does not accept."""
        return await self._session.announce_all(self.snapshot())

    def snapshot(self) -> requests.Announce:
        """All that is served now."""
        held = {swarm: self._copies.holding(*swarm) for swarm in self._copies.swarms()}
        shares = [requests.Share(*swarm, *holding) for swarm, holding in held.items() if holding is not None]
        return requests.Announce(self._host, self._port, shares)

    async def renew(self, group_id: str, root: bytes) -> list[requests.Share]:
        """Announce this swarm as it is now. Returns the shares that a tracker refuses (see session.announce)."""
        holding = self._copies.holding(group_id, root)
        share = requests.Share(group_id, root, *(holding or (False, False)))
        return await self._session.announce(share, is_removed=holding is None)

"""Who is online and has what, as far as this tracker has heard. Pure.

This is soft state: a session that was silent for PRESENCE_TTL_S is forgotten, and every client announces everything
again when it connects. It is kept twice, by session and by swarm.

Invariants. Both views always agree. A client's key is present at most once, so a client that connects anew takes the
place of its old session at once.

Not here: whether a share is permitted (service), who is told about whom (handout).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from tracker.settings import PRESENCE_TTL_S

Swarm = tuple[str, bytes]
"""One file in one group: (group id, root)."""


class Holding(IntEnum):
    """How much of a file a session has. With nothing it waits: it is not a sharer yet, but others may be told of it."""

    NOTHING = 0
    SOME = 1
    ALL = 2


class Count(NamedTuple):
    """People, not sessions: an account with two clients online counts once, by the one that has more."""

    complete: int
    partial: int


class Sharer(NamedTuple):
    session: int
    user_id: str
    thumbprint: bytes
    host: str
    port: int
    is_complete: bool


@dataclass(slots=True)
class _Online:
    user_id: str
    thumbprint: bytes
    heard_at_s: float
    host: str = ""
    port: int = 0
    holdings: dict[Swarm, Holding] = field(default_factory=dict)


class Presence:
    def __init__(self) -> None:
        self._online: dict[int, _Online] = {}
        self._swarms: dict[Swarm, set[int]] = {}
        self._session_of: dict[bytes, int] = {}

    def arrive(self, session: int, user_id: str, thumbprint: bytes, now_s: float) -> None:
        ghost = self._session_of.get(thumbprint)
        if ghost is not None:
            self.drop(ghost)
        self._online[session] = _Online(user_id, thumbprint, now_s)
        self._session_of[thumbprint] = session

    def is_online(self, session: int) -> bool:
        return session in self._online

    def hear(self, session: int, now_s: float) -> None:
        """The session gave a sign of life."""
        if session in self._online:
            self._online[session].heard_at_s = now_s

    def place(self, session: int, host: str, port: int) -> None:
        """The address where this session serves. Before that it is not handed out as a peer."""
        if session in self._online:
            self._online[session].host = host
            self._online[session].port = port

    def has_place(self, session: int) -> bool:
        return session in self._online and self._online[session].port != 0

    def add(self, session: int, swarm: Swarm, holding: Holding) -> bool:
        """True if the session was not in this swarm before."""
        online = self._online.get(session)
        if online is None:
            return False
        is_new = swarm not in online.holdings
        online.holdings[swarm] = holding
        self._swarms.setdefault(swarm, set()).add(session)
        return is_new

    def remove(self, session: int, swarm: Swarm) -> None:
        online = self._online.get(session)
        if online is not None and online.holdings.pop(swarm, None) is not None:
            self._leave_swarm(session, swarm)

    def list_swarms(self, session: int) -> list[Swarm]:
        online = self._online.get(session)
        return [] if online is None else list(online.holdings)

    def count_shares(self, session: int) -> int:
        online = self._online.get(session)
        return 0 if online is None else len(online.holdings)

    def drop(self, session: int) -> None:
        online = self._online.pop(session, None)
        if online is None:
            return
        del self._session_of[online.thumbprint]
        for swarm in online.holdings:
            self._leave_swarm(session, swarm)

    def drop_from_group(self, user_id: str, group_id: str) -> None:
        """The account is no longer a member: none of its sessions shares anything there."""
        for session, online in self._online.items():
            if online.user_id == user_id:
                for swarm in [swarm for swarm in online.holdings if swarm[0] == group_id]:
                    self.remove(session, swarm)

    def expire(self, now_s: float) -> list[int]:
        """Drops the sessions that were silent for too long, and returns them."""
        for online in self._online.values():
            online.heard_at_s = min(online.heard_at_s, now_s)  # the clock may have been set back meanwhile
        silent = [s for s, online in self._online.items() if online.heard_at_s + PRESENCE_TTL_S <= now_s]
        for session in silent:
            self.drop(session)
        return silent

    def list_sharers(self, swarm: Swarm) -> list[Sharer]:
        """All sessions that serve this file, in whole or in part, in the order of arrival."""
        return [self._sharer(session, swarm) for session in sorted(self._swarms.get(swarm, ()))]

    def count_sharers(self, swarm: Swarm) -> Count:
        most: dict[str, Holding] = {}
        for session in self._swarms.get(swarm, ()):
            online = self._online[session]
            most[online.user_id] = max(most.get(online.user_id, Holding.NOTHING), online.holdings[swarm])
        held = list(most.values())
        return Count(held.count(Holding.ALL), held.count(Holding.SOME))

    def drop_swarm(self, swarm: Swarm) -> None:
        """The group does not have this content any more: nobody shares it."""
        for session in list(self._swarms.get(swarm, ())):
            self.remove(session, swarm)

    def is_shared(self, swarm: Swarm) -> bool:
        return swarm in self._swarms

    def is_shared_by_others(self, session: int, swarm: Swarm) -> bool:
        return bool(self._swarms.get(swarm, set()) - {session})

    def list_holders(self, session: int, swarm: Swarm, least: Holding) -> list[str]:
        """The accounts with another session than this one that has at least so much of the file; each once, by name."""
        others = self._swarms.get(swarm, set()) - {session}
        return sorted({self._online[one].user_id for one in others if self._online[one].holdings[swarm] >= least})

    def _sharer(self, session: int, swarm: Swarm) -> Sharer:
        online = self._online[session]
        return Sharer(
            session, online.user_id, online.thumbprint, online.host, online.port,
            online.holdings[swarm] == Holding.ALL,
        )  # fmt: skip

    def _leave_swarm(self, session: int, swarm: Swarm) -> None:
        sessions = self._swarms[swarm]
        sessions.discard(session)
        if not sessions:
            del self._swarms[swarm]

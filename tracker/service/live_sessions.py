"""The sessions that clients have with this tracker right now, and the connections over which they are told things.

A connection gets a session by a login, and loses it by a logout or a revocation. Nothing here survives the process:
clients log in again after a restart.

Invariant: a session is found by its account and by its number, or by neither.

Not here: what a session may do (rules.permissions), which files its client serves (rules.presence).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tracker.protocol.events import Bulletin, Event
from tracker.rules.permissions import Generation, check_alive, check_expiry


@dataclass(slots=True)
class Session:
    """What a login adds to a connection. `number` is unique in this process, `public_key` is the client's raw Ed25519
    key.
    """

    number: int
    user_id: str
    public_key: bytes
    thumbprint: bytes
    expires_at_s: float
    generation: int
    """Of the account's sessions, as the certificate of this one says."""

    def check_alive(self, present: Generation | None, now_s: float) -> Generation:
        """Call this in the transaction that acts for the session, with the generation found there. Raises Refusal."""
        check_expiry(self.expires_at_s, now_s)
        return check_alive(present, self.generation, self.thumbprint)

    def go_on(self, generation: int, expires_at_s: float) -> None:
        """The session has a new certificate."""
        self.generation = max(self.generation, generation)
        self.expires_at_s = expires_at_s


@dataclass(slots=True, eq=False)
class Connection:
    """A connection as the service sees it. `push` hands an event to its client and never blocks."""

    nonce: bytes
    observed_host: str
    push: Callable[[Event | Bulletin], None]
    session: Session | None = None


class LiveSessions:
    """All sessions of this tracker, found by account and by number."""

    def __init__(self) -> None:
        self._by_user: dict[str, dict[int, Connection]] = {}
        self._by_session: dict[int, Connection] = {}

    def add(self, connection: Connection, session: Session) -> None:
        self._by_session[session.number] = connection
        self._by_user.setdefault(session.user_id, {})[session.number] = connection

    def remove(self, session: Session) -> None:
        if self._by_session.pop(session.number, None) is not None:
            connections = self._by_user[session.user_id]
            del connections[session.number]
            if not connections:
                del self._by_user[session.user_id]

    def connections_of(self, user_id: str) -> list[Connection]:
        return list(self._by_user.get(user_id, {}).values())

    def thumbprints_of(self, user_id: str) -> set[bytes]:
        """The keys of this account's clients, one a client, even while an old connection of it has not ended yet."""
        return {
            connection.session.thumbprint
            for connection in self.connections_of(user_id)
            if connection.session is not None
        }

    def tell_users(self, user_ids: Iterable[str], message: Bulletin) -> None:
        for user_id in user_ids:
            for connection in self.connections_of(user_id):
                connection.push(message)

    def tell_all(self, event: Event) -> None:
        for connection in self._by_session.values():
            connection.push(event)

    def tell_session(self, number: int, event: Event) -> None:
        connection = self._by_session.get(number)
        if connection is not None:
            connection.push(event)

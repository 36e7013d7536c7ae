"""One request being answered: who asks, in which transaction, and what is to happen once it is committed.

Invariant: nothing leaves the transaction before it is committed. Events and changes of the soft state are put off
with `tell` and `afterwards`, so a change that fails was never heard of; and what is told is written down with the
change, so that every other tracker hears of it too.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.authority import Authority
from tracker.protocol.events import Bulletin, Event, GroupEpoch, SessionEnded, TicketKeys
from tracker.protocol.types import AuditAction
from tracker.rules.handout import Handout
from tracker.rules.permissions import Generation, Group, Refusal, check_alive, check_expiry
from tracker.rules.presence import Presence
from tracker.settings import REVOCATIONS_COUNTED_FOR_S, Policy
from tracker.store.audit import Deed, write_deed
from tracker.store.news import NEWS_LIFE_S, Fact, News, SessionsRevoked, write_news


@dataclass(slots=True)
class Session:
    """A connection after its login. `number` is unique in this process, `public_key` is the client's raw Ed25519."""

    number: int
    user_id: str
    public_key: bytes
    thumbprint: bytes
    expires_at_s: float
    generation: int
    """Of the account, when this session's certificate was issued (people)."""

    def check_alive(self, present: Generation | None, now_s: float) -> Generation:
        """For the transaction that acts for this session, with what it finds there. Raises Refusal."""
        check_expiry(self.expires_at_s, now_s)
        return check_alive(present, self.generation, self.thumbprint)

    def go_on(self, generation: int, expires_at_s: float) -> None:
        """With a new certificate."""
        self.generation = max(self.generation, generation)
        self.expires_at_s = expires_at_s


@dataclass(slots=True, eq=False)
class Connection:
    """A connection as the service sees it. `push` hands an event to its client and never blocks."""

    nonce: bytes
    observed_host: str
    push: Callable[[Event | Bulletin], None]
    session: Session | None = None


class Audience:
    """Who is connected to this tracker and can be told things."""

    def __init__(self) -> None:
        self._by_user: dict[str, dict[int, Connection]] = {}
        self._by_session: dict[int, Connection] = {}

    def enter(self, connection: Connection, session: Session) -> None:
        self._by_session[session.number] = connection
        self._by_user.setdefault(session.user_id, {})[session.number] = connection

    def leave(self, session: Session) -> None:
        if self._by_session.pop(session.number, None) is not None:
            callers = self._by_user[session.user_id]
            del callers[session.number]
            if not callers:
                del self._by_user[session.user_id]

    def callers_of(self, user_id: str) -> list[Connection]:
        return list(self._by_user.get(user_id, {}).values())

    def keys_of(self, user_id: str) -> set[bytes]:
        """Thumbprints: one for each client, also while its last connection has not ended yet."""
        return {
            connection.session.thumbprint for connection in self.callers_of(user_id) if connection.session is not None
        }

    def tell_users(self, user_ids: Iterable[str], message: Bulletin) -> None:
        for user_id in user_ids:
            for connection in self.callers_of(user_id):
                connection.push(message)

    def tell_all(self, event: Event) -> None:
        for connection in self._by_session.values():
            connection.push(event)

    def tell_session(self, number: int, event: Event) -> None:
        connection = self._by_session.get(number)
        if connection is not None:
            connection.push(event)


@dataclass(frozen=True, slots=True)
class TrackerState:
    """What every request may use: the soft state, the keys and chance; and how news reaches the soft state."""

    authority: Authority
    presence: Presence
    handout: Handout
    audience: Audience
    chance: random.Random
    policy: Policy
    origin: bytes
    """Names this tracker's process in the news it writes."""
    recent: deque[News] = field(default_factory=deque)
    """What was told within the life of a ticket, for those who were not connected for a moment."""

    def end_session(self, connection: Connection) -> None:
        if connection.session is not None:
            self.audience.leave(connection.session)
            self.presence.drop(connection.session.number)
            connection.session = None

    def admit(self, connection: Connection, session: Session, now_s: float) -> None:
        """The session begins here. Raises Refusal if it is known already that it was revoked.

        It was found alive in a transaction; but that may have ended a while ago, and the news of a revocation since
        then may have come before there was anybody to end. What comes from now on finds it.
        """
        if any(_ends(news.fact, session) for news in self.recent):
            raise Refusal("session_ended", "the sessions of this account were revoked meanwhile; log in again")
        connection.session = session
        self.audience.enter(connection, session)
        self.presence.arrive(session.number, session.user_id, session.thumbprint, now_s)

    def revocations_by(self, session: Session, now_s: float) -> list[float]:
        """When this session ended all others of its account within the time that counts, the earliest first."""
        since_s, own = now_s - REVOCATIONS_COUNTED_FOR_S, (session.user_id, session.thumbprint)
        return [
            news.at_s
            for news in self.recent
            if since_s < news.at_s <= now_s  # a later one is of a clock that was set back since
            and isinstance(news.fact, SessionsRevoked)
            and (news.fact.user_id, news.fact.spared) == own
        ]

    def deliver(self, news: News) -> None:
        """Act on what this or another tracker has committed, and tell whom it concerns."""
        while self.recent and self.recent[0].at_s < news.at_s - NEWS_LIFE_S:
            self.recent.popleft()
        self.recent.append(news)
        match news.fact:
            case SessionsRevoked():
                self._revoke(news.fact)
                return
            case TicketKeys():
                self.audience.tell_all(news.fact)
                return
            case GroupEpoch(spared=b""):
                self.presence.drop_from_group(news.fact.removed, news.fact.group_id)
        self.audience.tell_users(news.recipients, Bulletin(news.number, news.fact))

    def tell_missed_removals(self, connection: Connection, user_id: str) -> None:
        """Its connection was gone for a moment: whom to cut off, it may not have heard.

        Not of its own removal: it may be back in by now, and if not, it is told so when it announces its shares.
        """
        for news in self.recent:
            fact = news.fact
            if isinstance(fact, GroupEpoch) and user_id in news.recipients and fact.removed != user_id:
                connection.push(Bulletin(news.number, fact))

    def _revoke(self, fact: SessionsRevoked) -> None:
        for connection in self.audience.callers_of(fact.user_id):
            if connection.session is not None and _ends(fact, connection.session):
                self.end_session(connection)
                connection.push(SessionEnded("the sessions of this account were revoked"))


def _ends(fact: Fact, session: Session) -> bool:
    return (
        isinstance(fact, SessionsRevoked)
        and fact.user_id == session.user_id
        and fact.generation > session.generation
        and fact.spared != session.thumbprint
    )


@dataclass(slots=True)
class RequestContext:
    state: TrackerState
    db: AsyncConnection
    session: Session
    observed_host: str
    now_s: float
    generation: Generation | None = None
    """The present one of the caller's account, once the session was found to be alive."""
    looked_up: Group | None = None
    _told: list[tuple[list[str], Fact]] = field(default_factory=list)
    _written: list[News] = field(default_factory=list)
    _deeds: list[Deed] = field(default_factory=list)
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    @property
    def user_id(self) -> str:
        return self.session.user_id

    @property
    def group(self) -> Group:
        """The group the request names; looked up and checked before the request's own code runs."""
        assert self.looked_up is not None, "only a request about a group has one"
        return self.looked_up

    def tell(self, user_ids: Iterable[str], fact: Fact) -> None:
        """For every session of these accounts, whichever tracker it is connected to. In a change only."""
        self._told.append((list(user_ids), fact))

    def note(self, action: AuditAction, group_id: str = "", subject: str = "") -> None:
        """For the audit log: the caller did this. In a change only."""
        self._deeds.append(Deed(self.user_id, action, group_id, subject))

    def afterwards(self, effect: Callable[[], None]) -> None:
        self._afterwards.append(effect)

    async def write_down(self) -> None:
        """What was told and noted. To be called at the end of the transaction."""
        for deed in self._deeds:
            await write_deed(self.db, deed, self.observed_host, self.now_s)
        for recipients, fact in self._told:
            self._written.append(await write_news(self.db, self.state.origin, recipients, fact, self.now_s))

    def finish(self) -> None:
        """To be called once the transaction is committed."""
        for news in self._written:
            self.state.deliver(news)
        for effect in self._afterwards:
            effect()

"""The soft state of one tracker: who is logged in, who serves what, and the recent news.

It is in memory and never written down: after a restart clients log in and announce their files again. The trackers of
one store learn of each other's changes through news that is kept in the store (store.news). `deliver` is where news
takes effect here, whichever tracker made it.

Invariant: a session that known news revokes is ended, or does not begin.

Not here: anything durable (store), the transaction of a request (context).
"""

import random
from collections import deque
from dataclasses import dataclass, field

from tracker.protocol.authority import Authority
from tracker.protocol.events import Bulletin, GroupEpoch, SessionEnded, TicketKeys
from tracker.rules.handout import Handout
from tracker.rules.permissions import Refusal
from tracker.rules.presence import Presence
from tracker.service.live_sessions import Connection, LiveSessions, Session
from tracker.settings import REVOCATIONS_COUNTED_FOR_S, Policy
from tracker.store.news import NEWS_LIFE_S, News, NewsEvent, SessionsRevoked


@dataclass(frozen=True, slots=True)
class TrackerState:
    """What every request may use: the soft state, the authority, the operator's policy and a source of chance."""

    authority: Authority
    presence: Presence
    handout: Handout
    sessions: LiveSessions
    chance: random.Random
    policy: Policy
    origin: bytes
    """Names this tracker process in the news that it writes."""
    recent_news: deque[News] = field(default_factory=deque)
    """News that is no older than a ticket can be, for clients that were not connected for a moment."""

    def end_session(self, connection: Connection) -> None:
        if connection.session is not None:
            self.sessions.remove(connection.session)
            self.presence.drop(connection.session.number)
            connection.session = None

    def begin_session(self, connection: Connection, session: Session, now_s: float) -> None:
        """Raises Refusal if it is known already that the session was revoked.

        It was found alive in a transaction, but that may have ended a while ago. The news of a revocation may have come
        since, when there was no session yet that it could end. News that comes from now on finds the session.
        """
        if any(_ends(news.event, session) for news in self.recent_news):
            raise Refusal("session_ended", "the sessions of this account were revoked meanwhile; log in again")
        connection.session = session
        self.sessions.add(connection, session)
        self.presence.arrive(session.number, session.user_id, session.thumbprint, now_s)

    def revocations_by(self, session: Session, now_s: float) -> list[float]:
        """When this session ended all others of its account, within the time that counts, earliest first."""
        since_s, own = now_s - REVOCATIONS_COUNTED_FOR_S, (session.user_id, session.thumbprint)
        return [
            news.at_s
            for news in self.recent_news
            if since_s < news.at_s <= now_s  # a later one is of a clock that was set back since
            and isinstance(news.event, SessionsRevoked)
            and (news.event.user_id, news.event.spared) == own
        ]

    def deliver(self, news: News) -> None:
        """Acts on what this or another tracker has committed, and tells those it concerns."""
        while self.recent_news and self.recent_news[0].at_s < news.at_s - NEWS_LIFE_S:
            self.recent_news.popleft()
        self.recent_news.append(news)
        match news.event:
            case SessionsRevoked():
                self._revoke(news.event)
                return
            case TicketKeys():
                self.sessions.tell_all(news.event)
                return
            case GroupEpoch(spared=b""):
                self.presence.drop_from_group(news.event.removed, news.event.group_id)
        self.sessions.tell_users(news.recipients, Bulletin(news.number, news.event))

    def tell_missed_removals(self, connection: Connection, user_id: str) -> None:
        """Tells a client whose connection was gone for a moment whom to cut off.

        It is not told of its own removal: it may be a member again by now, and if not, it hears so when it announces
        its shares.
        """
        for news in self.recent_news:
            event = news.event
            if isinstance(event, GroupEpoch) and user_id in news.recipients and event.removed != user_id:
                connection.push(Bulletin(news.number, event))

    def _revoke(self, event: SessionsRevoked) -> None:
        for connection in self.sessions.connections_of(event.user_id):
            if connection.session is not None and _ends(event, connection.session):
                self.end_session(connection)
                connection.push(SessionEnded("the sessions of this account were revoked"))


def _ends(event: NewsEvent, session: Session) -> bool:
    return (
        isinstance(event, SessionsRevoked)
        and event.user_id == session.user_id
        and event.generation > session.generation
        and event.spared != session.thumbprint
    )

"""News: the events that a change has for clients, kept in the store for a while so that every tracker hears of them.

A tracker knows only its own connections. So a change writes its events down in its own transaction, and each tracker
regularly reads what the others wrote and tells its own clients.

Invariant: numbers rise in the order of the commits, so a tracker that asks for all after a number misses none.
Not here: telling clients (service.tracker_state).
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.events import GroupEpoch, OwnerChanged, RequestAnswered, RequestArrived, TicketKeys
from tracker.protocol.types import Id, Thumbprint
from tracker.settings import TICKET_LIFE_S
from tracker.store.schema import counters, news

NEWS_LIFE_S = TICKET_LIFE_S
"""Every ticket that was valid when the news was written has ended by then."""


class SessionsRevoked(msgspec.Struct, frozen=True, array_like=True, tag="sessions_revoked"):
    """For the trackers themselves: sessions of this account are over, except those with the spared key."""

    user_id: Id
    generation: int
    spared: Thumbprint


NewsEvent = GroupEpoch | OwnerChanged | RequestArrived | RequestAnswered | SessionsRevoked | TicketKeys


class News(NamedTuple):
    """`recipients`: the accounts whose clients are told of the event. They are none if it is for every client
    (TicketKeys) or for no client (SessionsRevoked). `origin` names the tracker process that wrote it.
    """

    number: int
    origin: bytes
    recipients: frozenset[str]
    event: NewsEvent
    at_s: float


_encoder = msgspec.msgpack.Encoder()
_event_decoder: msgspec.msgpack.Decoder[NewsEvent] = msgspec.msgpack.Decoder(NewsEvent)
_recipients_decoder = msgspec.msgpack.Decoder(frozenset[str])


async def write_news(
    db: AsyncConnection, origin: bytes, recipients: Iterable[str], event: NewsEvent, now_s: float
) -> News:
    await db.execute(delete(news).where(news.c.at_s < now_s - NEWS_LIFE_S))
    number = await db.scalar(
        update(counters).where(counters.c.name == "news").values(value=counters.c.value + 1).returning(counters.c.value)
    )
    written = News(int(number or 0), origin, frozenset(recipients), event, now_s)
    await db.execute(
        news.insert().values(
            number=written.number,
            at_s=now_s,
            origin=origin,
            recipients=_encoder.encode(sorted(written.recipients)),
            fact=_encoder.encode(event),
        )
    )
    return written


async def read_news(db: AsyncConnection, after: int) -> list[News]:
    """All news with a higher number that is still kept, in order."""
    rows = await db.execute(select(news).where(news.c.number > after).order_by(news.c.number))
    return [
        News(
            row.number,
            row.origin,
            _recipients_decoder.decode(row.recipients),
            _event_decoder.decode(row.fact),
            row.at_s,
        )
        for row in rows
    ]

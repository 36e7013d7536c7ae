"""What the changes of every tracker told, kept in the store for a while, so that all trackers can tell it on.

Who is connected to which tracker is nobody's knowledge but that tracker's own. So a change writes down what it tells,
in its own transaction, and each tracker looks for what others wrote (service). Invariant: numbers rise in the order of
the commits; whoever asks for what came after a number misses nothing.

Not here: telling it (turn.Desk).
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
"""After that long no ticket is left that any of it could concern."""


class SessionsRevoked(msgspec.Struct, frozen=True, array_like=True, tag="sessions_revoked"):
    """For the trackers themselves: sessions of this account are over, but for those with the spared key."""

    user_id: Id
    generation: int
    spared: Thumbprint


PublicFact = GroupEpoch | OwnerChanged | RequestArrived | RequestAnswered
Fact = PublicFact | SessionsRevoked | TicketKeys
"""What concerns everybody, or no client, has no recipients."""


class News(NamedTuple):
    number: int
    origin: bytes
    recipients: frozenset[str]
    fact: Fact
    at_s: float


_encoder = msgspec.msgpack.Encoder()
_fact_decoder: msgspec.msgpack.Decoder[Fact] = msgspec.msgpack.Decoder(Fact)
_recipients_decoder = msgspec.msgpack.Decoder(frozenset[str])


async def write_news(
    db: AsyncConnection, origin: bytes, recipients: Iterable[str], fact: Fact, now_s: float
) -> News:
    await db.execute(delete(news).where(news.c.at_s < now_s - NEWS_LIFE_S))
    number = await db.scalar(
        update(counters)
        .where(counters.c.name == "news")
        .values(value=counters.c.value + 1)
        .returning(counters.c.value)
    )
    written = News(int(number or 0), origin, frozenset(recipients), fact, now_s)
    await db.execute(
        news.insert().values(
            number=written.number,
            at_s=now_s,
            origin=origin,
            recipients=_encoder.encode(sorted(written.recipients)),
            fact=_encoder.encode(fact),
        )
    )
    return written


async def read_news(db: AsyncConnection, after: int) -> list[News]:
    """Everything that is kept with a higher number, in order."""
    rows = await db.execute(select(news).where(news.c.number > after).order_by(news.c.number))
    return [
        News(
            row.number,
            row.origin,
            _recipients_decoder.decode(row.recipients),
            _fact_decoder.decode(row.fact),
            row.at_s,
        )
        for row in rows
    ]

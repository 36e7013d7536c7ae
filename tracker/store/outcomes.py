"""The outcome of each change, kept beside the change, so that a retry gets the first answer.

A client that loses its tracker in the middle of a call asks another one with the same request id.

Invariants. The outcome is written in the same transaction as the change, so there is never one without the other. An
outcome belongs to an account: nobody else's request finds it.

Not here: refusals, which changed nothing and may be decided anew.
"""

import msgspec
from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.results import Result
from tracker.settings import OUTCOME_LIFE_S
from tracker.store.schema import outcomes

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Result] = msgspec.msgpack.Decoder(Result)

# Made once: putting these together takes longer than running them, and every change asks for all three.
_FIND = select(outcomes.c.reply).where(
    outcomes.c.user_id == bindparam("of_user"), outcomes.c.request_id == bindparam("of_request")
)
_FORGET = delete(outcomes).where(outcomes.c.at_s < bindparam("before_s"))
_REMEMBER = outcomes.insert()


async def find_outcome(db: AsyncConnection, user_id: str, request_id: bytes) -> Result | None:
    reply = await db.scalar(_FIND, {"of_user": user_id, "of_request": request_id})
    return None if reply is None else _decoder.decode(reply)


async def remember_outcome(db: AsyncConnection, user_id: str, request_id: bytes, result: Result, now_s: float) -> None:
    await db.execute(_FORGET, {"before_s": now_s - OUTCOME_LIFE_S})
    reply = _encoder.encode(result)
    await db.execute(_REMEMBER, {"user_id": user_id, "request_id": request_id, "reply": reply, "at_s": now_s})

"""What became of each change, kept beside the change itself, so that a retry gets the first answer.

A client that lost its tracker in mid-call asks another one with the same request id. Invariant: the outcome is written
in the same transaction as the change, so there is never one without the other. Only changes are remembered; a refusal
changed nothing and may be decided anew. Outcomes belong to an account: nobody else's request id finds them.
"""

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol import Result
from tracker.schema import outcomes
from tracker.settings import OUTCOME_LIFE_S

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Result] = msgspec.msgpack.Decoder(Result)


async def find_outcome(db: AsyncConnection, user_id: str, request_id: bytes) -> Result | None:
    reply = await db.scalar(
        select(outcomes.c.reply).where(outcomes.c.user_id == user_id, outcomes.c.request_id == request_id)
    )
    return None if reply is None else _decoder.decode(reply)


async def remember_outcome(
    db: AsyncConnection, user_id: str, request_id: bytes, result: Result, now_s: float
) -> None:
    await db.execute(delete(outcomes).where(outcomes.c.at_s < now_s - OUTCOME_LIFE_S))
    await db.execute(
        outcomes.insert().values(
            user_id=user_id, request_id=request_id, reply=_encoder.encode(result), at_s=now_s
        )
    )

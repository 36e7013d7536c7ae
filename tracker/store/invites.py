"""Invitations, as SQL: each lets one person make an account, for a while.

An invitation is stored under the hash of a code of 128 random bits, which the inviting client made and the tracker sees
only when it is used. So a copy of the database gives nobody an invitation.

Invariant: a code makes one account at most, since `use_invite` runs in the transaction that makes it.

Not here: how a code is written (protocol.invite_codes).
"""

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.store.insert_if_free import insert_if_free
from tracker.store.schema import invites


async def add_invite(db: AsyncConnection, digest: bytes, inviter: str, expires_at_s: float) -> bool:
    """False if there is one with this digest."""
    return await insert_if_free(db, invites, {"digest": digest, "inviter": inviter, "expires_at_s": expires_at_s})


async def count_invites(db: AsyncConnection, inviter: str, now_s: float) -> int:
    """Counts this account's unused invitations. Expired ones are removed."""
    await db.execute(delete(invites).where(invites.c.expires_at_s <= now_s))
    count = await db.scalar(select(func.count()).select_from(invites).where(invites.c.inviter == inviter))
    return int(count or 0)


async def is_valid(db: AsyncConnection, digest: bytes, now_s: float) -> bool:
    query = select(invites.c.digest).where(invites.c.digest == digest, invites.c.expires_at_s > now_s)
    return await db.scalar(query) is not None


async def use_invite(db: AsyncConnection, digest: bytes, now_s: float) -> bool:
    """True if it was there and had not expired; it is gone now."""
    used = await db.execute(delete(invites).where(invites.c.digest == digest, invites.c.expires_at_s > now_s))
    return used.rowcount > 0

"""Invitations, as SQL: each lets one person make an account, for a while.

Stored as the hash of a code of 128 random bits, which the inviting client made and the tracker sees when it is used;
so whoever reads the database cannot use any. Invariant: a code makes one account at most (`use_invite` in the
transaction that makes it).
"""

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.store.insert_if_free import insert_if_free
from tracker.store.schema import invites


async def add_invite(db: AsyncConnection, digest: bytes, inviter: str, expires_at_s: float) -> bool:
    """False if there is one with this digest."""
    return await insert_if_free(db, invites, {"digest": digest, "inviter": inviter, "expires_at_s": expires_at_s})


async def count_invites(db: AsyncConnection, inviter: str, now_s: float) -> int:
    """Unused ones of this account; the expired are removed."""
    await db.execute(delete(invites).where(invites.c.expires_at_s <= now_s))
    count = await db.scalar(select(func.count()).select_from(invites).where(invites.c.inviter == inviter))
    return int(count or 0)


async def is_valid(db: AsyncConnection, digest: bytes, now_s: float) -> bool:
    query = select(invites.c.digest).where(invites.c.digest == digest, invites.c.expires_at_s > now_s)
    return await db.scalar(query) is not None


async def use_invite(db: AsyncConnection, digest: bytes, now_s: float) -> bool:
    """True if it was there and has not expired; it is gone now."""
    used = await db.execute(delete(invites).where(invites.c.digest == digest, invites.c.expires_at_s > now_s))
    return used.rowcount > 0

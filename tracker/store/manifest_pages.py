"""The pages of very large manifests, as SQL: staged one by one by the publisher, then settled with their manifest.

A page is named by its SHA-256, so it may come twice, in any order, to any tracker, and a publication that was broken
off goes on where it was.

Invariants. Staged pages belong to an account. Their number is bounded, per account and over all, by dropping the
oldest, and they end with time. A settled manifest has every page, each in its right length.

Not here: how many pages a request must name (service.files), whether they hash to the root (clients that fetch).
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.types import PAGE_BYTES
from tracker.settings import STAGED_PAGE_LIFE_S, STAGED_PAGES_MAX, STAGED_PAGES_PER_ACCOUNT_MAX
from tracker.store.schema import pages, staged_pages

staged = staged_pages.c
_PAGE = select(pages.c.leaves).where(pages.c.digest == bindparam("of_digest"), pages.c.number == bindparam("of_number"))


async def stage(db: AsyncConnection, user_id: str, leaves: bytes, now_s: float) -> None:
    """Keeps a page for a manifest that is about to be published. If there are too many, the oldest is dropped."""
    digest = hashlib.sha256(leaves).digest()
    await db.execute(delete(staged_pages).where(staged.put_at_s < now_s - STAGED_PAGE_LIFE_S))
    await db.execute(delete(staged_pages).where(staged.user_id == user_id, staged.page_digest == digest))
    await db.execute(staged_pages.insert().values(user_id=user_id, page_digest=digest, leaves=leaves, put_at_s=now_s))
    await _keep_newest(db, STAGED_PAGES_PER_ACCOUNT_MAX, user_id)
    await _keep_newest(db, STAGED_PAGES_MAX)


async def list_wanted(
    db: AsyncConnection, user_id: str, digests: Sequence[bytes], leaves_bytes: int, now_s: float
) -> list[int]:
    """The numbers of the pages that this account has not put, or not in the length that their place requires.

    The other pages count as new again, since they are needed. A page whose time is over counts as gone, removed or not.
    """
    if not digests:
        return []
    is_kept = staged.put_at_s >= now_s - STAGED_PAGE_LIFE_S
    these = (staged.user_id == user_id, staged.page_digest.in_(digests), is_kept)
    await db.execute(update(staged_pages).where(*these).values(put_at_s=now_s))
    rows = await db.execute(select(staged.page_digest, func.length(staged.leaves)).where(*these))
    lengths = {row[0]: row[1] for row in rows}
    needed = [min(PAGE_BYTES, leaves_bytes - number * PAGE_BYTES) for number in range(len(digests))]
    return [number for number, digest in enumerate(digests) if lengths.get(digest) != needed[number]]


async def settle(db: AsyncConnection, user_id: str, manifest_digest: bytes, digests: Sequence[bytes]) -> None:
    """Turns the staged pages, which must all be there, into those of a manifest. A page may stand in several places."""
    for number, digest in enumerate(digests):
        page = select(literal(manifest_digest), literal(number), staged.leaves).where(
            staged.user_id == user_id, staged.page_digest == digest
        )
        await db.execute(insert(pages).from_select(["digest", "number", "leaves"], page))
    if digests:
        await db.execute(delete(staged_pages).where(staged.user_id == user_id, staged.page_digest.in_(digests)))


async def find_page(db: AsyncConnection, manifest_digest: bytes, number: int) -> bytes | None:
    """None if the manifest has no such page, or has only one."""
    found: bytes | None = await db.scalar(_PAGE, {"of_digest": manifest_digest, "of_number": number})
    return found


async def _keep_newest(db: AsyncConnection, count: int, user_id: str | None = None) -> None:
    mine = () if user_id is None else (staged.user_id == user_id,)
    newest_first = (staged.put_at_s.desc(), staged.page_digest)
    everything = select(staged.user_id, staged.page_digest).where(*mine).order_by(*newest_first)
    surplus = (await db.execute(everything.limit(STAGED_PAGES_MAX).offset(count))).all()
    for row in surplus:
        is_this = (staged.user_id == row.user_id, staged.page_digest == row.page_digest)
        await db.execute(delete(staged_pages).where(*is_this))

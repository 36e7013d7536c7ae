"""The audit log: who did what to accounts and groups, when and from where. Rows are added and never changed.

Written in the transaction of what it tells, so neither is there without the other; in SQLite, triggers refuse every
change and removal of a row. A group made anew under an old name has a log of its own: its owner does not see what was
before. Not here: files that come and go, wrong passwords (throttle, tracker.log).
"""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.results import AuditEntry
from tracker.protocol.types import AuditAction
from tracker.settings import AUDIT_ENTRIES_SHOWN
from tracker.store.schema import audit


class Deed(NamedTuple):
    """`group_id` is "" for what concerns an account alone."""

    actor: str
    action: AuditAction
    group_id: str
    subject: str


async def write_deed(db: AsyncConnection, deed: Deed, host: str, now_s: float) -> None:
    await db.execute(audit.insert().values(at_s=now_s, host=host, **deed._asdict()))


async def read_deeds(db: AsyncConnection, group_id: str) -> list[AuditEntry]:
    """The latest of this group, oldest first, since it was made."""
    made = select(func.max(audit.c.number)).where(audit.c.group_id == group_id, audit.c.action == "group_created")
    rows = await db.execute(
        select(audit)
        .where(audit.c.group_id == group_id, audit.c.number >= func.coalesce(made.scalar_subquery(), 0))
        .order_by(audit.c.number.desc())
        .limit(AUDIT_ENTRIES_SHOWN)
    )
    found = [AuditEntry(row.at_s, row.actor, row.action, row.subject, row.host) for row in rows]
    return found[::-1]

"""The audit log: who did what to accounts and groups, when and from where. Rows are added and never changed.

A row is written in the transaction of the change it reports, so there is never one without the other; in SQLite,
triggers refuse every change and removal of a row. A group that is made anew under an old name has a log of its own: its
owner does not see what happened before.

Not here: files that come and go, wrong passwords (rules.throttle, tracker.log).
"""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.types import AuditAction
from tracker.settings import AUDIT_ENTRIES_SHOWN
from tracker.store.schema import audit


class AuditRecord(NamedTuple):
    """`actor` is "" for the tracker's operator, `group_id` where an account alone is concerned, `subject` where nobody
    else is; `host` is the address the request came from.
    """

    at_s: float
    host: str
    actor: str
    action: AuditAction
    group_id: str = ""
    subject: str = ""


async def add_record(db: AsyncConnection, record: AuditRecord) -> None:
    await db.execute(audit.insert().values(record._asdict()))


async def list_records(db: AsyncConnection, group_id: str) -> list[AuditRecord]:
    """The latest records of this group, oldest first, since the group was made."""
    made = select(func.max(audit.c.number)).where(audit.c.group_id == group_id, audit.c.action == "group_created")
    rows = await db.execute(
        select(audit)
        .where(audit.c.group_id == group_id, audit.c.number >= func.coalesce(made.scalar_subquery(), 0))
        .order_by(audit.c.number.desc())
        .limit(AUDIT_ENTRIES_SHOWN)
    )
    found = [AuditRecord(row.at_s, row.host, row.actor, row.action, row.group_id, row.subject) for row in rows]
    return found[::-1]

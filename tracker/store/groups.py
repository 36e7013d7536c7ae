"""Groups, their members and pending requests to join, as SQL. Each function is one question or one change.

Invariants. The owner of a group is one of its members. Epochs come from one rising counter for all groups, so a
group made anew under an old name never repeats an epoch, and no old ticket fits it.

Not here: whether the caller may (rules.permissions), transactions (store).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Row, bindparam, delete, exists, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.names import choose_spelling, fold_id
from tracker.rules.permissions import Generation, Group, Standing
from tracker.store.accounts import find_account
from tracker.store.insert_if_free import insert_if_free
from tracker.store.schema import accounts, counters, groups, members, requests

_OF_GROUP: BindParameter[str] = bindparam("of_group")
_OF_USER: BindParameter[str] = bindparam("of_user")

# Made once: putting these together takes longer than running them, and they are asked for every file.
_STANDING = (
    select(
        accounts.c.generation,
        accounts.c.spared,
        groups.c.group_id,
        groups.c.owner,
        groups.c.epoch,
        groups.c.is_open,
        exists().where(members.c.group_id == groups.c.group_id, members.c.user_id == _OF_USER).label("is_member"),
        exists().where(requests.c.group_id == groups.c.group_id, requests.c.user_id == _OF_USER).label("is_requested"),
    )
    .select_from(accounts.join(groups, true()))
    .where(accounts.c.user_id == _OF_USER, groups.c.folded == bindparam("folded"))
    .with_for_update()
)
_MEMBERS_AMONG = select(members.c.user_id).where(
    members.c.group_id == _OF_GROUP, members.c.user_id.in_(bindparam("user_ids", expanding=True))
)
_GROUPS_OF = select(members.c.group_id).where(members.c.user_id == _OF_USER)


class ListedGroup(NamedTuple):
    """A group in the list of all groups, as one account sees it."""

    group_id: str
    owner: str
    member_count: int
    standing: Standing
    is_open: bool


async def find_standing(
    db: AsyncConnection, user_id: str, group_id: str | None
) -> tuple[Generation | None, Group | None]:
    """Returns the present generation of the account's sessions, and the group that is named, as this account sees it.

    The group has the spelling of its maker. This is one statement, unless there is no such group. In a database that
    locks rows, both stay locked until the change ends.
    """
    alike: Sequence[Row[Any]] = ()
    if group_id is not None:
        alike = (await db.execute(_STANDING, {"folded": fold_id(group_id), "of_user": user_id})).all()
    if group_id is None or not alike:
        account = await find_account(db, user_id)
        return account and account.generation, None
    generation = Generation(alike[0].generation, alike[0].spared)
    spelling = choose_spelling(group_id, [row.group_id for row in alike])
    found = next((row for row in alike if row.group_id == spelling), None)
    if found is None:
        return generation, None
    return generation, Group(found.group_id, found.owner, found.epoch, _standing_in(found, user_id), found.is_open)


async def add_group(db: AsyncConnection, group_id: str, owner: str, is_open: bool, now_s: float) -> bool:
    """The owner is its first member. False if the name is taken."""
    folded = fold_id(group_id)
    if await db.scalar(select(groups.c.group_id).where(groups.c.folded == folded).limit(1)) is not None:
        return False
    epoch = await _next_epoch(db)
    row = {"group_id": group_id, "folded": folded, "apart": "", "owner": owner, "epoch": epoch, "is_open": is_open}
    if not await insert_if_free(db, groups, row):
        return False
    await add_member(db, group_id, owner, now_s)
    return True


async def remove_group(db: AsyncConnection, group_id: str) -> int:
    """Removes the group with its members, requests and files. Returns the epoch that its end counts as."""
    await db.execute(delete(groups).where(groups.c.group_id == group_id))
    return await _next_epoch(db)


async def count_groups_owned(db: AsyncConnection, user_id: str) -> int:
    return await db.scalar(select(func.count()).select_from(groups).where(groups.c.owner == user_id)) or 0


async def change_owner(db: AsyncConnection, group_id: str, owner: str) -> None:
    await db.execute(update(groups).where(groups.c.group_id == group_id).values(owner=owner))


async def raise_epoch(db: AsyncConnection, group_id: str) -> int:
    epoch = await _next_epoch(db)
    await db.execute(update(groups).where(groups.c.group_id == group_id).values(epoch=epoch))
    return epoch


async def list_groups(db: AsyncConnection, user_id: str) -> list[ListedGroup]:
    """Every group, by name, with this account's standing in it."""
    counts = select(members.c.group_id, func.count().label("member_count")).group_by(members.c.group_id).subquery()
    mine = select(members.c.group_id).where(members.c.user_id == user_id).subquery()
    asked = select(requests.c.group_id).where(requests.c.user_id == user_id).subquery()
    rows = await db.execute(
        select(
            groups.c.group_id,
            groups.c.owner,
            groups.c.is_open,
            counts.c.member_count,
            mine.c.group_id.is_not(None).label("is_member"),
            asked.c.group_id.is_not(None).label("is_requested"),
        )
        .join(counts, counts.c.group_id == groups.c.group_id)
        .outerjoin(mine, mine.c.group_id == groups.c.group_id)
        .outerjoin(asked, asked.c.group_id == groups.c.group_id)
        .order_by(groups.c.group_id)
    )
    listed = []
    for row in rows:
        standing = _standing_in(row, user_id)
        listed.append(ListedGroup(row.group_id, row.owner, row.member_count, standing, row.is_open))
    return listed


async def add_member(db: AsyncConnection, group_id: str, user_id: str, now_s: float) -> None:
    await db.execute(members.insert().values(group_id=group_id, user_id=user_id, joined_at_s=now_s))


async def remove_member(db: AsyncConnection, group_id: str, user_id: str) -> None:
    await db.execute(delete(members).where(members.c.group_id == group_id, members.c.user_id == user_id))


async def list_members(db: AsyncConnection, group_id: str) -> list[str]:
    """Those who joined first come first."""
    rows = await db.scalars(
        select(members.c.user_id)
        .where(members.c.group_id == group_id)
        .order_by(members.c.joined_at_s, members.c.user_id)
    )
    return list(rows)


async def list_groups_of(db: AsyncConnection, user_id: str) -> set[str]:
    return set(await db.scalars(_GROUPS_OF, {"of_user": user_id}))


async def members_among(db: AsyncConnection, group_id: str, user_ids: set[str]) -> set[str]:
    """Those of `user_ids` that are members now."""
    return set(await db.scalars(_MEMBERS_AMONG, {"of_group": group_id, "user_ids": list(user_ids)}))


async def add_request(db: AsyncConnection, group_id: str, user_id: str, now_s: float) -> None:
    await db.execute(requests.insert().values(group_id=group_id, user_id=user_id, asked_at_s=now_s))


async def count_requests(db: AsyncConnection, user_id: str) -> int:
    """Of this account, without an answer yet."""
    return await db.scalar(select(func.count()).select_from(requests).where(requests.c.user_id == user_id)) or 0


async def find_asker(db: AsyncConnection, group_id: str, user_id: str) -> str | None:
    """The account that asks to join under this id, as it is spelled."""
    query = (
        select(requests.c.user_id)
        .join(accounts, accounts.c.user_id == requests.c.user_id)
        .where(requests.c.group_id == group_id, accounts.c.folded == fold_id(user_id))
    )
    return choose_spelling(user_id, list(await db.scalars(query)))


async def remove_request(db: AsyncConnection, group_id: str, user_id: str) -> bool:
    """False if there was none."""
    result = await db.execute(delete(requests).where(requests.c.group_id == group_id, requests.c.user_id == user_id))
    return result.rowcount > 0


async def list_requests(db: AsyncConnection, group_id: str) -> list[str]:
    """In the order in which they were made."""
    rows = await db.scalars(
        select(requests.c.user_id)
        .where(requests.c.group_id == group_id)
        .order_by(requests.c.asked_at_s, requests.c.user_id)
    )
    return list(rows)


def _standing_in(row: Row[Any], user_id: str) -> Standing:
    if row.owner == user_id:
        return "owner"
    if row.is_member:
        return "member"
    return "requested" if row.is_requested else "none"


async def _next_epoch(db: AsyncConnection) -> int:
    epoch = await db.scalar(
        update(counters)
        .where(counters.c.name == "epoch")
        .values(value=counters.c.value + 1)
        .returning(counters.c.value)
    )
    return int(epoch or 0)

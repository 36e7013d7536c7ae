"""For the operator: accounts, groups and files whose names are from before the present rules, and clash or would be
refused.

They go on, and nothing is changed here; their owners can be asked to rename. Names are written in ASCII, with the
numbers of all other characters, because names that look alike are what this is about.

Not here: the rules themselves (protocol.names).
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Column, Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.names import BadName, check_new_file_name, check_new_id
from tracker.store.schema import accounts, files, groups


async def describe_names(db: AsyncConnection) -> str:
    """One line for each group of names that clash, and for each name that could not be given today."""
    lines = [
        *await _check_ids(db, "account", accounts, accounts.c.user_id),
        *await _check_ids(db, "group", groups, groups.c.group_id),
        *await _check_files(db),
    ]
    if not lines:
        return "every account, group and file has a name that could be given today, and none clashes with another"
    return "\n".join([*lines, "these go on; nothing that is made now clashes with them or is named like that"])


async def _check_ids(db: AsyncConnection, kind: str, table: Table, column: Column[str]) -> list[str]:
    shared = select(table.c.folded).group_by(table.c.folded).having(func.count() > 1)
    clashing = select(table.c.folded, column).where(table.c.folded.in_(shared)).order_by(table.c.folded, column)
    lines = [
        f"{kind}s that differ in capital letters only: {_listed(spelling for _, spelling in alike)}"
        for _, alike in groupby(await db.execute(clashing), itemgetter(0))
    ]
    ids = await db.scalars(select(column).order_by(column))
    lines += [f"{kind} with an id that is not given any more: {each!a}" for each in ids if _is_refused(_check_id, each)]
    return lines


async def _check_files(db: AsyncConnection) -> list[str]:
    place = (files.c.group_id, files.c.normal)
    shared = select(*place).group_by(*place).having(func.count() > 1)
    clashing = (
        select(*place, files.c.name, files.c.publisher).where(tuple_(*place).in_(shared)).order_by(*place, files.c.name)
    )
    lines = [
        f"files in {group_id!a} that differ in their Unicode form only: "
        + ", ".join(f"{name!a} by {publisher!a}" for _, _, name, publisher in alike)
        for (group_id, _), alike in groupby(await db.execute(clashing), itemgetter(0, 1))
    ]
    everything = select(files.c.group_id, files.c.name, files.c.publisher).order_by(files.c.group_id, files.c.name)
    lines += [
        f"file in {group_id!a} with a name that is not given any more: {name!a} by {publisher!a}"
        for group_id, name, publisher in await db.execute(everything)
        if _is_refused(check_new_file_name, name)
    ]
    return lines


def _check_id(value: str) -> str:
    return check_new_id("id", value)


def _is_refused(check: Callable[[str], str], name: str) -> bool:
    try:
        check(name)
    except BadName:
        return True
    return False


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(ascii, names))

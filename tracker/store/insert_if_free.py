"""Adds a row unless a key of it is taken, and says which it was.

A failed INSERT raises IntegrityError, which ends a PostgreSQL transaction, and with it every change that shares it
(group_commit). `ON CONFLICT DO NOTHING` fails nothing: the count of rows tells. SQLite and PostgreSQL both have it, and
SQLAlchemy only has it by dialect, hence this file.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


async def insert_if_free(db: AsyncConnection, table: Table, row: Mapping[str, Any]) -> bool:
    """Whether the row was added. False if another has the same primary key or the same value of a unique index."""
    added = await db.execute(_statement(db.dialect.name, table), row)
    return added.rowcount > 0


@cache
def _statement(dialect_name: str, table: Table) -> Executable:
    """Made once: putting it together takes longer than running it."""
    statement = _INSERT[dialect_name](table).on_conflict_do_nothing()
    executable: Executable = statement.execution_options(preserve_rowcount=True)
    return executable

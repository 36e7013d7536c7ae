"""Adds a row unless one of its keys is taken, and tells which of the two happened.

An INSERT that fails raises IntegrityError, which ends a PostgreSQL transaction, and with it every change that shares
the transaction (group_commit). `ON CONFLICT DO NOTHING` does not fail: the row count tells. SQLite and PostgreSQL both
have it, but SQLAlchemy offers it for each dialect separately, hence this file.

Not for: rows that must be there afterwards; there a taken key is an error.
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

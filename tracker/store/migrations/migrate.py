"""Brings a tracker's database to the tables of this program, one numbered step after the other (Alembic).

To change `schema`, add a file to `versions` that says what changes, and raise `schema.REVISION` to its number; a test
compares the tables that the steps make with those of `schema`. A step runs once in every database there is, so it is
never edited after a release.

Invariants. All steps and the new number are one transaction, so a tracker that is killed in the middle finds the old
database. A database of a later version, or of no known one, is reported and not touched. An existing database is copied
before its first step.

Not here: the tables (schema), copying a database file (sqlite.database_file).
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from tracker.store import schema

FIRST_REVISION = "0001"
"""The version of databases that were made before steps were counted."""


class WrongVersion(Exception):
    """The sentence says which version was found and what can be done."""


def bring_up_to_date(connection: Connection, copy_first: Callable[[str], None]) -> None:
    """Runs in the caller's transaction. `copy_first(name)` keeps the old state before anything changes. Raises
    WrongVersion, SQLAlchemyError.
    """
    found = _find_revision(connection)
    if found == schema.REVISION:
        return
    if found is not None:
        if not found.isdigit() or found > schema.REVISION:
            raise WrongVersion(
                f"the database is of version {found}, this program knows versions up to {schema.REVISION}; it was left "
                "as it is. Run the newer program, or restore a copy from before the change (python -m tracker restore)"
            )
        copy_first(f"before-{schema.REVISION}")
    _run_steps(connection, found)


def _find_revision(connection: Connection) -> str | None:
    """None if the database is empty."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" in tables:
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found or "unknown"
    mark = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "schema"))
    return FIRST_REVISION if mark == b"shoal tracker 1" else str(mark)


def _run_steps(connection: Connection, found: str | None) -> None:
    # Not at the top: a database that is up to date starts without Alembic and its templates (about 0.1 s).
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    if found == FIRST_REVISION:
        command.stamp(config, FIRST_REVISION)
    command.upgrade(config, "head")

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql

from tracker.store import accounts, groups, schema
from tracker.store.insert_if_free import _statement, insert_if_free
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(tmp_path)
    yield store
    await store.close()


async def test_a_taken_primary_key_leaves_the_row_that_is_there(store: Store) -> None:
    row = {"digest": bytes(32), "inviter": "ann", "expires_at_s": 1.0}
    async with store.changing() as db:
        assert await insert_if_free(db, schema.invites, row)
        assert not await insert_if_free(db, schema.invites, row | {"inviter": "bob"})
        assert await db.scalar(select(schema.invites.c.inviter)) == "ann"


async def test_a_taken_unique_index_counts_as_taken_too(store: Store) -> None:
    """Two spellings of one id differ in the primary key, and are one in the index of folded ids."""
    row = {"group_id": "Lab", "folded": "lab", "apart": "", "owner": "ann", "epoch": 1, "is_open": False}
    async with store.changing() as db:
        await accounts.add_account(db, "ann", "hash", 0.0)
        assert await groups.add_group(db, "lab", "ann", False, 0.0)
        assert not await insert_if_free(db, schema.groups, row)


async def test_the_transaction_goes_on_after_a_taken_key(store: Store) -> None:
    async with store.changing() as db:
        assert await accounts.add_account(db, "ann", "hash", 0.0)
        assert not await accounts.add_account(db, "ANN", "hash", 0.0)
        assert await accounts.add_account(db, "bob", "hash", 0.0)
    async with store.reading() as db:
        assert await db.scalar(select(func.count()).select_from(schema.accounts)) == 2


def test_postgresql_is_asked_for_the_same() -> None:
    """A failed INSERT would end its transaction."""
    sql = str(_statement("postgresql", schema.invites).compile(dialect=postgresql.dialect()))  # type: ignore[attr-defined, no-untyped-call]
    assert sql.endswith("ON CONFLICT DO NOTHING")

"""Accounts, as SQL. Each function is one question or one change.

Not here: groups and who is in them (groups), whether the caller may (rules.permissions), transactions (store).
"""

from typing import NamedTuple

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.names import fold_id
from tracker.rules.permissions import Generation
from tracker.store.insert_if_free import insert_if_free
from tracker.store.schema import accounts

_ACCOUNT = select(accounts.c.password_hash, accounts.c.generation, accounts.c.spared).where(
    accounts.c.user_id == bindparam("of_user")
)


class Account(NamedTuple):
    """What a login is judged by. A new password and a revocation of sessions both change it."""

    password_hash: str
    generation: Generation


async def list_alike(db: AsyncConnection, user_id: str) -> list[str]:
    """The accounts with this id, in any capital letters: at most one, unless they are from before ids were compared
    without case.
    """
    query = select(accounts.c.user_id).where(accounts.c.folded == fold_id(user_id)).order_by(accounts.c.user_id)
    return list(await db.scalars(query))


async def find_account(db: AsyncConnection, user_id: str) -> Account | None:
    row = (await db.execute(_ACCOUNT, {"of_user": user_id})).first()
    return None if row is None else Account(row.password_hash, Generation(row.generation, row.spared))


async def has_accounts(db: AsyncConnection) -> bool:
    return await db.scalar(select(accounts.c.user_id).limit(1)) is not None


async def add_account(db: AsyncConnection, user_id: str, password_hash: str, now_s: float) -> bool:
    """False if the name is taken."""
    if await list_alike(db, user_id):
        return False
    row = {
        "user_id": user_id, "folded": fold_id(user_id), "apart": "", "password_hash": password_hash, "generation": 0,
        "files_published": 0, "manifest_bytes": 0, "created_at_s": now_s,
    }  # fmt: skip
    return await insert_if_free(db, accounts, row)


async def change_password_hash(db: AsyncConnection, user_id: str, password_hash: str) -> None:
    await db.execute(update(accounts).where(accounts.c.user_id == user_id).values(password_hash=password_hash))


async def revoke_sessions(db: AsyncConnection, user_id: str, spared: bytes) -> Generation:
    """Makes the account's earlier certificates void, except those for the spared key (a thumbprint)."""
    number = await db.scalar(
        update(accounts)
        .where(accounts.c.user_id == user_id)
        .values(generation=accounts.c.generation + 1, spared=spared)
        .returning(accounts.c.generation)
    )
    return Generation(int(number or 0), spared)

"""The keys that sign tickets, as SQL: published first, signing later, believed until their last ticket has ended.

A key signs from its time on until the next key's time. By then every client has heard of the next one, even those that
were away for a moment. The earlier key is believed for as long as a ticket can live, and then by nobody. So no transfer
is disturbed when the key changes. Each tracker asks the store for the key at every ticket and every login, so all of
them change in the same moment.

Invariants. There is always one key that signs. No ticket is believed longer than the key that signed it.

Not here: the authority that certificates come from (keyring), which is never changed.
"""

import functools
import hashlib
import math
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.authority import private_pem
from tracker.protocol.types import TrustedKey
from tracker.settings import TICKET_LIFE_S
from tracker.store.schema import ticket_keys

_KEYS = select(ticket_keys).order_by(ticket_keys.c.signs_from_s, ticket_keys.c.number)


class SigningKey(NamedTuple):
    kid: str
    private: Ed25519PrivateKey


class _Kept(NamedTuple):
    number: int
    signing: SigningKey
    signs_from_s: float
    ends_at_s: float


async def find_signing_key(db: AsyncConnection, now_s: float) -> SigningKey:
    """The key that signs now. Raises ValueError if there is none that can be read."""
    kept = await _list_kept(db)
    if not kept:
        raise ValueError("there is no ticket key")
    # A clock that was set back finds the oldest.
    return next((one.signing for one in reversed(kept) if one.signs_from_s <= now_s), kept[0].signing)


async def find_trusted_keys(db: AsyncConnection, now_s: float) -> dict[str, TrustedKey]:
    """By id, what those who check tickets have to know: keys that sign, will sign, or whose tickets may still live."""
    return {
        one.signing.kid: TrustedKey(one.signing.private.public_key().public_bytes_raw(), one.ends_at_s)
        for one in await _list_kept(db)
        if now_s < one.ends_at_s
    }


async def add_key(db: AsyncConnection, signs_from_s: float, now_s: float) -> str:
    """Makes a new key and returns its id. Keys that have ended are removed."""
    for one in await _list_kept(db):
        if one.ends_at_s <= now_s:
            await db.execute(delete(ticket_keys).where(ticket_keys.c.number == one.number))
    key_pem = private_pem(Ed25519PrivateKey.generate())
    await db.execute(ticket_keys.insert().values(key_pem=key_pem, signs_from_s=signs_from_s))
    return _read(key_pem).kid


async def _list_kept(db: AsyncConnection) -> list[_Kept]:
    rows = (await db.execute(_KEYS)).all()
    ends = [later.signs_from_s + TICKET_LIFE_S for later in rows[1:]]
    return [
        _Kept(row.number, _read(row.key_pem), row.signs_from_s, end)
        for row, end in zip(rows, [*ends, math.inf], strict=False)
    ]


@functools.lru_cache(maxsize=16)
def _read(key_pem: bytes) -> SigningKey:
    """Raises ValueError if it is damaged."""
    key = load_pem_private_key(key_pem, None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("a ticket key of another kind")
    return SigningKey(hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16], key)

"""The secrets that all trackers of one store share: the authority, and the first of the keys that sign tickets.

They are made once, inside one change of the store, so trackers that start together end up with the same ones.

Invariant: the authority is never replaced, since clients have pinned it. Not here: replacing ticket keys (ticket_keys).
"""

from sqlalchemy import select

from tracker.protocol.authority import Authority, load_authority, make_authority
from tracker.store.schema import meta
from tracker.store.store import Store, StoreError
from tracker.store.ticket_keys import add_key, find_signing_key


async def load_keyring(store: Store, now_s: float) -> Authority:
    """Returns the authority of the store; makes all keys if there are none. Raises StoreError if they are damaged."""
    async with store.changing() as db:
        rows = await db.execute(select(meta.c.key, meta.c.value))
        values = {row.key: row.value for row in rows}
        if "authority_key" not in values:
            values["authority_key"], values["authority"] = make_authority(now_s)
            made = [{"key": key, "value": values[key]} for key in ("authority_key", "authority")]
            await db.execute(meta.insert(), made)
            await add_key(db, 0.0, now_s)
        try:
            await find_signing_key(db, now_s)
            return load_authority(values["authority_key"], values["authority"])
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError("the tracker's keys in the database are damaged; restore it from a backup") from error

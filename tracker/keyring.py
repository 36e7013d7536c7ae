"""The secrets all trackers of one store share: the authority and the key that signs tickets.

Made once, inside one change of the store: trackers that start together end up with the same ones.
Invariant: they are never replaced, since clients have pinned the authority.
"""

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select

from tracker.authority import Authority, load_authority, make_authority, private_pem
from tracker.schema import meta
from tracker.store import Store, StoreError


@dataclass(frozen=True, slots=True)
class Keyring:
    authority: Authority
    ticket_kid: str
    ticket_key: Ed25519PrivateKey

    @property
    def ticket_keys(self) -> dict[str, bytes]:
        """Key id → raw public key, as members need them to check each other's tickets."""
        return {self.ticket_kid: self.ticket_key.public_key().public_bytes_raw()}


async def load_keyring(store: Store, now_s: float) -> Keyring:
    """The keys in the store, made if there are none. Raises StoreError if they are damaged."""
    async with store.changing() as db:
        rows = await db.execute(select(meta.c.key, meta.c.value))
        values = {row.key: row.value for row in rows}
        if "authority_key" not in values:
            key_pem, certificate_pem = make_authority(now_s)
            made = {
                "authority_key": key_pem,
                "authority": certificate_pem,
                "ticket_key": private_pem(Ed25519PrivateKey.generate()),
            }
            await db.execute(meta.insert(), [{"key": key, "value": value} for key, value in made.items()])
            values |= made
    try:
        authority = load_authority(values["authority_key"], values["authority"])
        ticket_key = load_pem_private_key(values["ticket_key"], None)
    except (KeyError, ValueError) as error:
        raise StoreError("the tracker's keys in the database are damaged; restore it from a backup") from error
    if not isinstance(ticket_key, Ed25519PrivateKey):
        raise StoreError("the tracker's ticket key in the database is of another kind; restore it from a backup")
    kid = hashlib.sha256(ticket_key.public_key().public_bytes_raw()).hexdigest()[:16]
    return Keyring(authority, kid, ticket_key)

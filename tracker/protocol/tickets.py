"""Membership tickets: what a tracker signs and a serving peer checks offline. Pure.

A ticket is a JWT that says: this account, in this group, at this epoch, holding the key with this thumbprint, until
then. Invariant: `check` returns claims only for a ticket signed with EdDSA by a key that the caller believes, meant for
peers, and valid at the `now_s` given; and they hold no longer than that key, nor than any ticket lives. Nothing in a
ticket is believed before its signature was checked.

Imports are light on purpose: worker processes load this. Not here: whether the account is still a member (service)
or whether the file is shared in the group (the serving peer).
"""

import binascii
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tracker.settings import TICKET_LIFE_S

TICKET_CHARACTERS_MAX = 2048
CLOCK_SKEW_S = 30.0
"""How far a peer's clock may be behind the tracker's. The end of a ticket gets no leeway."""

_ALGORITHM: Literal["EdDSA"] = "EdDSA"
_AUDIENCE = "shoal peer"
_LEAVE_TIME_TO_US: dict[str, Any] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}


class BadTicket(ValueError):
    """This ticket lets nobody in; the message says why."""


class Claims(msgspec.Struct, frozen=True):
    user_id: str
    group_id: str
    epoch: int
    thumbprint: bytes
    expires_at_s: float
    is_open: bool = False
    """The group's owner lets its files cross the network unencrypted."""


class _Payload(msgspec.Struct, frozen=True):
    """The claims as they stand in the token; a stranger's type in any of them is refused."""

    aud: str
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    group: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    key: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
    iat: float
    exp: float
    open: bool


def sign(
    signing_key: Ed25519PrivateKey,
    kid: str,
    *,
    user_id: str,
    group_id: str,
    epoch: int,
    thumbprint: bytes,
    now_s: float,
    life_s: float,
    is_open: bool = False,
) -> str:
    payload = _Payload(_AUDIENCE, user_id, group_id, epoch, thumbprint.hex(), now_s, now_s + life_s, is_open)
    return jwt.encode(msgspec.to_builtins(payload), signing_key, _ALGORITHM, {"kid": kid})


def check(ticket: str, keys: Mapping[str, tuple[bytes, float]], now_s: float) -> Claims:
    """The claims of a ticket that is valid now; `keys`: id → (raw Ed25519 public key, until when it is believed).

    Raises BadTicket.
    """
    if len(ticket) > TICKET_CHARACTERS_MAX:
        raise BadTicket(f"a ticket of {len(ticket)} characters, {TICKET_CHARACTERS_MAX} is the limit")
    payload, key_ends_at_s = _verified_payload(ticket, keys)
    if not payload.iat <= now_s + CLOCK_SKEW_S:
        raise BadTicket("the ticket is not valid yet; is this machine's clock right?")
    if not now_s < payload.exp:
        raise BadTicket("the ticket has expired")
    if not now_s < key_ends_at_s:
        raise BadTicket("the ticket is signed with a key that is not used any more")
    try:
        thumbprint = binascii.unhexlify(payload.key)
    except ValueError:
        raise BadTicket("the ticket's thumbprint is not one") from None
    expires_at_s = min(payload.exp, key_ends_at_s, now_s + TICKET_LIFE_S + CLOCK_SKEW_S)
    return Claims(payload.sub, payload.group, payload.epoch, thumbprint, expires_at_s, payload.open)


def thumbprint_of(public_key_raw: bytes) -> bytes:
    """How tickets and peers' addresses name a key."""
    return hashlib.sha256(public_key_raw).digest()


def _verified_payload(ticket: str, keys: Mapping[str, tuple[bytes, float]]) -> tuple[_Payload, float]:
    try:
        kid = jwt.get_unverified_header(ticket).get("kid")
        if not isinstance(kid, str) or kid not in keys:
            raise BadTicket("the ticket is signed with a key that is not this tracker's")
        public_raw, ends_at_s = keys[kid]
        public_key = Ed25519PublicKey.from_public_bytes(public_raw)
        claims = jwt.decode(
            ticket,
            public_key,
            [_ALGORITHM],
            audience=_AUDIENCE,
            options=_LEAVE_TIME_TO_US,  # type: ignore[arg-type]
        )
        return msgspec.convert(claims, _Payload), ends_at_s
    except (jwt.PyJWTError, msgspec.ValidationError) as error:
        raise BadTicket(f"the ticket is not valid: {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, BadTicket):
            raise
        raise BadTicket("this is not a ticket") from error

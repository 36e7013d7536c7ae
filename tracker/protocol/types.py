"""The types that the messages are made of: bounded values, limits of single messages, codes of refusals. Pure.

Invariant: every bound of a value on the wire stands here or at the field that has it.

Not here: the messages (requests, results, events, manifests).
"""

import math
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

LEAF_BYTES = 32
INVITE_CODE_BYTES = 16
PIECE_COUNT_MAX = 1 << 20
PIECE_BYTES_MIN = 1 << 18
PIECE_BYTES_MAX = 1 << 24
SIZE_BYTES_MAX = PIECE_COUNT_MAX * PIECE_BYTES_MAX
PEERS_WANTED_MAX = 50
PEERS_REPORTED_MAX = 32
HOLDERS_NAMED_MAX = 10
SHARES_PER_ANNOUNCE_MAX = 100_000
PAGE_BYTES = 1 << 20
"""Leaves travel in pages of this size, the last one shorter. A page holds 32768 pieces: a file of 8 to 512 GiB."""
PAGES_MAX = PIECE_COUNT_MAX * LEAF_BYTES // PAGE_BYTES

Id = Annotated[str, Meta(min_length=1, max_length=64)]
IdOrNone = Annotated[str, Meta(max_length=64)]
"""An id, or "" where there is none."""
FileName = Annotated[str, Meta(min_length=1, max_length=255)]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]
Root = Annotated[bytes, Meta(min_length=32, max_length=32)]
PageNumber = Annotated[int, Meta(ge=0, lt=PAGES_MAX)]
Nonce = Annotated[bytes, Meta(min_length=32, max_length=32)]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Thumbprint = Annotated[bytes, Meta(min_length=32, max_length=32)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Seq = Annotated[int, Meta(ge=0, le=2**32 - 1)]
InviteCode = Annotated[bytes, Meta(max_length=INVITE_CODE_BYTES)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
RequestId = Annotated[bytes, Meta(min_length=16, max_length=16)]

ErrorCode = Literal[
    "bad_request",
    "bad_name",
    "not_logged_in",
    "login_failed",
    "throttled",
    "invite_needed",
    "bad_invite",
    "session_ended",
    "user_taken",
    "no_such_user",
    "no_such_member",
    "group_taken",
    "no_such_group",
    "not_member",
    "not_owner",
    "already_member",
    "already_requested",
    "no_such_request",
    "no_such_file",
    "file_conflict",
    "too_large",
    "over_quota",
    "busy",
    "internal",
]


AuditAction = Literal[
    "account_created",
    "invite_created",
    "login",
    "password_changed",
    "sessions_revoked",
    "group_created",
    "group_removed",
    "join_requested",
    "request_accepted",
    "request_rejected",
    "member_left",
    "member_removed",
    "ownership_transferred",
    "ticket_key_added",
]


class TrustedKey(NamedTuple):
    """A key that signs tickets, as those who check tickets have to know it: raw Ed25519, believed until `ends_at_s`."""

    public_key: PublicKey
    ends_at_s: float = math.inf


class Message(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The shape that everything on the wire has: immutable, positional, strict."""

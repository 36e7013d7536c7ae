"""The messages of the peer protocol, and the bounds of each field.

A link carries data one way. The *fetcher* opens channels, one for each file, and asks for pieces; the *server* answers.
The role of each side is fixed in its HELLO, and does not depend on which of them dialled.

    fetcher → server   HELLO  PROVE  OPEN  RENEW  REQUEST  CANCEL  MISMATCH  CLOSE
    server → fetcher   HELLO  PROVE  OPENED  REFUSED  HAVE  PIECE  REJECT  GOSSIP  CLOSED  BYE

On a sealed link TLS has proven who both sides are; on an open link (plain TCP) each side proves it by PROVE before
anything else.

A piece travels as consecutive slices, each a PIECE message: a `PieceHeader` and `length` bytes of the file. The first
one says which candidate the server chose; between two slices a CANCEL takes effect. Slices of one piece come in order,
and those of another piece not before the first is whole or rejected. Every request ends in its last slice or a REJECT.
"""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

PROTOCOL_VERSION = 3

U32_MAX = 2**32 - 1
CANDIDATES_MAX = 64
"""A request naming more would only make the server look longer; eight are enough (docs/scheduling.md)."""
TICKET_LENGTH_MAX = 2048
REASON_LENGTH_MAX = 200
ROOT_BYTES = 32
NONCE_BYTES = 32
CERTIFICATE_BYTES_MAX = 8192
SLICE_BYTES_MAX = 1 << 20
"""A server may cut smaller; 256 KiB is usual."""
BITFIELD_BYTES_MAX = 1 << 17
"""One bit for each of 2**20 pieces."""
HAVES_MAX = 1 << 14
REJECT_AFTER_MS_MAX = 1000
GOSSIP_PEERS_MAX = 8
HOST_LENGTH_MAX = 45
"""The longest IPv6 address; peers are named by numeric addresses only."""

Text = Annotated[str, Meta(max_length=REASON_LENGTH_MAX)]
U32 = Annotated[int, Meta(ge=0, le=U32_MAX)]


REREADING = "rereading"
"""The code of a REFUSED or CLOSED that ends by itself: the server reads the file again before it serves it on."""


class Role(IntEnum):
    FETCHER = 1
    SERVER = 2


class RejectReason(IntEnum):
    NO_SUCH_CHANNEL = 1
    NO_SUCH_PIECE = 2
    UNREADABLE = 3
    """The file changed or cannot be read; the share is withdrawn."""
    CANCELLED = 4
    LATER = 5
    """Other peers will have the piece before this server would have sent it; ask again after a while."""


class Hello(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The first message of each side. A version or role that the other does not expect ends the link. `nonce`: only on
    an open link.
    """

    version: Annotated[int, Meta(ge=0, le=U32_MAX)]
    role: Role
    nonce: Annotated[bytes, Meta(max_length=NONCE_BYTES)] = b""


class Prove(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """On an open link, the answer to the other's HELLO: the sender's certificate, and a signature over both nonces."""

    certificate_pem: Annotated[bytes, Meta(max_length=CERTIFICATE_BYTES_MAX)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


class Open(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The fetcher asks for a file. `channel` is its number for the file on this link."""

    channel: U32
    group_id: Annotated[str, Meta(min_length=1, max_length=64)]
    root: Annotated[bytes, Meta(min_length=ROOT_BYTES, max_length=ROOT_BYTES)]
    ticket: Annotated[str, Meta(max_length=TICKET_LENGTH_MAX)]


class Renew(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A fresh ticket for every channel of this group, before the one in force ends."""

    group_id: Annotated[str, Meta(min_length=1, max_length=64)]
    ticket: Annotated[str, Meta(max_length=TICKET_LENGTH_MAX)]


class Opened(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The server gives the file. `bitfield`: the pieces it has, exactly ceil(piece_count / 8) bytes."""

    channel: U32
    bitfield: Annotated[bytes, Meta(max_length=BITFIELD_BYTES_MAX)]


class Refused(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The server does not give the file. `code` is for programs, `reason` for people."""

    channel: U32
    code: Text
    reason: Text


class Closed(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The server does not give the file any more. `code` is for programs, `reason` for people."""

    channel: U32
    code: Text
    reason: Text


class Bye(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The server closes the link."""

    reason: Text


class Have(Struct, frozen=True):
    """The server gained these pieces."""

    channel: int
    pieces: tuple[int, ...]


class Neighbour(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A peer that serves a file: its account, its address, and SHA-256 of the public key that it has to prove."""

    user_id: Annotated[str, Meta(min_length=1, max_length=64)]
    host: Annotated[str, Meta(min_length=1, max_length=HOST_LENGTH_MAX)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    thumbprint: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Gossip(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Peer exchange: the server itself fetches this file from these peers. Hints, for when no tracker answers."""

    channel: U32
    peers: Annotated[tuple[Neighbour, ...], Meta(min_length=1, max_length=GOSSIP_PEERS_MAX)]


class Request(Struct, frozen=True):
    """The fetcher asks for one of these pieces, from `begin` on; `length` bytes of it, or (0) to its end."""

    request_id: int
    channel: int
    begin: int
    length: int
    candidates: tuple[int, ...]


class Cancel(Struct, frozen=True):
    """The fetcher takes a request back, from byte `at` of its piece on. The server sends up to there and then a REJECT.
    If it is further already, the REJECT comes after the current slice; none comes if that is the last one.
    """

    request_id: int
    at: int = 0


class Mismatch(Struct, frozen=True):
    """This piece came over this channel and does not match the manifest. The fetcher takes nothing more on the channel
    before it has opened it again. A server that finds its copy changed closes the channel with the code REREADING.
    """

    channel: int
    piece: int


class Close(Struct, frozen=True):
    """The fetcher is done with this channel."""

    channel: int


class Reject(Struct, frozen=True):
    """This request is not answered with a piece. `after_ms`, with LATER: how long the fetcher asks for nothing else."""

    request_id: int
    reason: int
    after_ms: int = 0


class PieceHeader(Struct, frozen=True):
    """`length` bytes of `piece` follow, starting `begin` bytes into it."""

    request_id: int
    piece: int
    begin: int
    length: int


Message = (
    Hello
    | Prove
    | Open
    | Renew
    | Opened
    | Refused
    | Closed
    | Bye
    | Have
    | Gossip
    | Request
    | Cancel
    | Mismatch
    | Close
    | Reject
    | PieceHeader
)

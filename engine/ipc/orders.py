"""What the coordinator orders its workers to do. Plain values.

File descriptors travel beside the message that names how many it needs (`descriptor_count`).
Not here: what workers say (reports), how either travels (message_socket).
"""

from typing import ClassVar

from msgspec import Struct

from engine.errors import Cause
from engine.storage.stamp import Stamp
from engine.wire.messages import Neighbour


class Order(Struct, frozen=True, array_like=True):
    descriptor_count: ClassVar[int] = 0


class CutRequest(Order, tag="cut_request", frozen=True):
    link_id: int
    file_id: int
    request_id: int


class KeepScratch(Order, tag="keep_scratch", frozen=True):
    """Write what is in memory; answered by `PieceVerified`."""

    link_id: int
    file_id: int
    request_id: int


class CheckParts(Order, tag="check_parts", frozen=True):
    """A piece that came in parts: does it match? Answered by `PartsChecked`."""

    file_id: int
    piece: int


class HashRanges(Order, tag="hash_ranges", frozen=True):
    """(begin, end) within a piece that is in the file; answered by `RangesHashed`."""

    file_id: int
    piece: int
    ranges: tuple[tuple[int, int], ...]


OfPiece = KeepScratch | CheckParts | HashRanges
"""Orders that a worker carries out without a link."""


class SendMismatch(Order, tag="send_mismatch", frozen=True):
    """A piece from this link does not match: tell the server, and take nothing more of the file from it. Answered by
    `MismatchSent`.
    """

    link_id: int
    file_id: int
    piece: int


class Configure(Order, tag="configure", frozen=True):
    """Who this client is from now on. PEM; `ticket_keys`: key id → raw Ed25519 public key and its end."""

    certificate_pem: bytes
    key_pem: bytes
    authority_pem: bytes
    ticket_keys: dict[str, tuple[bytes, float]]


class ShareSlots(Order, tag="share_slots", frozen=True):
    """Descriptor: the board of upload slots of all workers; this one's row. The first order of all."""

    row: int
    rows: int
    descriptor_count: ClassVar[int] = 1


class AddFile(Order, tag="add_file", frozen=True):
    """A file to serve in a group and, while it is incomplete, to fetch. Descriptors: piece table, then the data.

    `stamp`: the marks of a complete file, for noticing a change; None for one that is being written. Sent again with
    its marks when it is complete.
    """

    file_id: int
    group_id: str
    root: bytes
    size_bytes: int
    piece_bytes: int
    backend: str
    stamp: Stamp | None
    descriptor_count: ClassVar[int] = 2


class RemoveFile(Order, tag="remove_file", frozen=True):
    """Close its channels, both ways, and the file."""

    file_id: int
    reason: str


class SuspendFile(Order, tag="suspend_file", frozen=True):
    """Like RemoveFile, but it may be back in a moment: until a file of this content is added again or `ReleaseFile`,
    whoever asks for it hears this code and reason.
    """

    file_id: int
    group_id: str
    root: bytes
    code: str
    reason: str


class ReleaseFile(Order, tag="release_file", frozen=True):
    """What was suspended does not come back soon."""

    group_id: str
    root: bytes


class SetEpoch(Order, tag="set_epoch", frozen=True):
    """Tickets of this group older than `epoch` open nothing any more, and what such of `removed` have opened is closed.

    `spared`: thumbprint of the one key of that account that stays; empty if none does.
    """

    group_id: str
    epoch: int
    removed: str
    spared: bytes = b""


class AcceptConnection(Order, tag="accept_connection", frozen=True):
    """Descriptor: a socket somebody dialled."""

    descriptor_count: ClassVar[int] = 1


class Dial(Order, tag="dial", frozen=True):
    """`is_open`: plain TCP with proofs, instead of TLS."""

    link_id: int
    host: str
    port: int
    thumbprint: bytes
    is_open: bool


class OpenChannel(Order, tag="open_channel", frozen=True):
    link_id: int
    file_id: int
    ticket: str


class RenewTicket(Order, tag="renew_ticket", frozen=True):
    link_id: int
    group_id: str
    ticket: str


class CloseChannel(Order, tag="close_channel", frozen=True):
    link_id: int
    file_id: int


class EndLink(Order, tag="end_link", frozen=True):
    link_id: int
    reason: str
    cause: Cause = "ended_here"


class EndAllLinks(Order, tag="end_all_links", frozen=True):
    """Stop serving and fetching at once."""

    reason: str


class Fetch(Order, tag="fetch", frozen=True):
    """`begin`, `length`: a range of the one candidate, or 0, 0. `is_scratch`: keep it in memory until `KeepScratch`."""

    link_id: int
    file_id: int
    request_id: int
    candidates: tuple[int, ...]
    begin: int = 0
    length: int = 0
    is_scratch: bool = False


class RevokeRequest(Order, tag="revoke_request", frozen=True):
    """Stop writing that piece; answered by `RequestRevoked` even if it had ended."""

    link_id: int
    file_id: int
    request_id: int


class AnnouncePieces(Order, tag="announce_pieces", frozen=True):
    """Tell those who fetch this file from us, but not the `owners`: the keys of peers that have these pieces."""

    file_id: int
    pieces: tuple[int, ...]
    owners: tuple[bytes, ...]


class TellAgain(Order, tag="tell_again", frozen=True):
    """We do not see any more what this peer has; so it is told of all pieces, those that it was spared included."""

    file_id: int
    peer: bytes


class SpreadPeers(Order, tag="spread_peers", frozen=True):
    """For those who fetch this file from us: we fetch it from these."""

    file_id: int
    peers: tuple[Neighbour, ...]


class HashPieces(Order, tag="hash_pieces", frozen=True):
    """Descriptor: the file. Hash `count` pieces from `first` on."""

    job_id: int
    size_bytes: int
    piece_bytes: int
    first: int
    count: int
    descriptor_count: ClassVar[int] = 1


class Farewell(Order, tag="farewell", frozen=True):
    """The end of the connection that follows is meant: the client lives on, or ends in good order."""


class Ping(Order, tag="ping", frozen=True):
    """Answered by `Pong` when every order before it was carried out."""

    number: int


AnyOrder = (
    ShareSlots
    | Configure
    | AddFile
    | RemoveFile
    | SuspendFile
    | ReleaseFile
    | SetEpoch
    | AcceptConnection
    | Dial
    | OpenChannel
    | RenewTicket
    | CloseChannel
    | SendMismatch
    | EndLink
    | EndAllLinks
    | Fetch
    | CutRequest
    | KeepScratch
    | CheckParts
    | HashRanges
    | RevokeRequest
    | AnnouncePieces
    | TellAgain
    | SpreadPeers
    | HashPieces
    | Ping
    | Farewell
)

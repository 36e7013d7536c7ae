"""What the coordinator orders its workers to do. Plain values.

File descriptors travel beside the message; its class says how many it needs (`descriptor_count`).
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
    """Let a request end in the middle of what is still to come, so that another link can take the rest. Answered by
    `RequestCut`.
    """

    link_id: int
    file_id: int
    request_id: int


class KeepScratch(Order, tag="keep_scratch", frozen=True):
    """Write a duplicate that is in memory to its place in the file. Answered by `PieceVerified`."""

    link_id: int
    file_id: int
    request_id: int


class CheckParts(Order, tag="check_parts", frozen=True):
    """Read a piece that came in parts, and compare it with its leaf. Answered by `PartsChecked`."""

    file_id: int
    piece: int


class HashRanges(Order, tag="hash_ranges", frozen=True):
    """Hash ranges (begin, end) of a piece that is in the file. Answered by `RangesHashed`."""

    file_id: int
    piece: int
    ranges: tuple[tuple[int, int], ...]


OfPiece = KeepScratch | CheckParts | HashRanges
"""Orders that a worker carries out without a link."""


class SendMismatch(Order, tag="send_mismatch", frozen=True):
    """A piece that came over this link does not match: tell the server, and take nothing more of the file from it.
    Answered by `MismatchSent`.
    """

    link_id: int
    file_id: int
    piece: int


class Configure(Order, tag="configure", frozen=True):
    """Who this client is from now on (PEM). `ticket_keys`: key id → raw Ed25519 public key, and until when it holds."""

    certificate_pem: bytes
    key_pem: bytes
    authority_pem: bytes
    ticket_keys: dict[str, tuple[bytes, float]]


class ShareSlots(Order, tag="share_slots", frozen=True):
    """The first order to every worker. Descriptor: the slot board that all workers share; `row` is this worker's."""

    row: int
    rows: int
    descriptor_count: ClassVar[int] = 1


class AddFile(Order, tag="add_file", frozen=True):
    """Serve this file in a group and, while it is incomplete, fetch it. Descriptors: the piece table, then the data.

    `stamp`: of a complete file, by which a change is noticed; None while the file is being written. The order is sent
    again with a stamp when the file is complete.
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
    """Close the file, and the channels on which others fetch it."""

    file_id: int
    reason: str


class SuspendFile(Order, tag="suspend_file", frozen=True):
    """Like `RemoveFile`, but the file may be back in a moment: until a file with this content is added again, or
    `ReleaseFile` comes, a fetcher that asks for it is refused with this code and reason.
    """

    file_id: int
    group_id: str
    root: bytes
    code: str
    reason: str


class ReleaseFile(Order, tag="release_file", frozen=True):
    """A suspended file does not come back soon: refuse it as one that is not shared."""

    group_id: str
    root: bytes


class SetEpoch(Order, tag="set_epoch", frozen=True):
    """Tickets of this group from before `epoch` open nothing any more, and channels that the account `removed` opened
    with such a ticket are closed.

    `spared`: thumbprint of the one key of that account whose channels stay open; empty if there is none.
    """

    group_id: str
    epoch: int
    removed: str
    spared: bytes = b""


class AcceptConnection(Order, tag="accept_connection", frozen=True):
    """Descriptor: the socket of a connection that the client accepted."""

    descriptor_count: ClassVar[int] = 1


class Dial(Order, tag="dial", frozen=True):
    """Make a link to a peer. `is_open`: unencrypted, over plain TCP; else TLS. Answered by `LinkUp` or `LinkDown`."""

    link_id: int
    host: str
    port: int
    thumbprint: bytes
    is_open: bool


class OpenChannel(Order, tag="open_channel", frozen=True):
    """Ask the server for the file. Answered by `ChannelOpened` or `ChannelRefused`."""

    link_id: int
    file_id: int
    ticket: str


class RenewTicket(Order, tag="renew_ticket", frozen=True):
    """Send a fresh ticket for the channels of this group."""

    link_id: int
    group_id: str
    ticket: str


class CloseChannel(Order, tag="close_channel", frozen=True):
    """Tell the server that nothing more of this file is asked on this link."""

    link_id: int
    file_id: int


class EndLink(Order, tag="end_link", frozen=True):
    """Close a fetch link. Answered by `LinkDown`."""

    link_id: int
    reason: str
    cause: Cause = "ended_here"


class EndAllLinks(Order, tag="end_all_links", frozen=True):
    """End every link, of both kinds, and make none until the next `Configure`."""

    reason: str


class Fetch(Order, tag="fetch", frozen=True):
    """Ask for one of the candidates. `begin`, `length`: a range of the only candidate; 0, 0 for a whole piece.
    `is_scratch`: a duplicate, which is kept in memory until `KeepScratch`.
    """

    link_id: int
    file_id: int
    request_id: int
    candidates: tuple[int, ...]
    begin: int = 0
    length: int = 0
    is_scratch: bool = False


class RevokeRequest(Order, tag="revoke_request", frozen=True):
    """Write nothing more for this request. Answered by `RequestRevoked`, even if the request had ended."""

    link_id: int
    file_id: int
    request_id: int


class AnnouncePieces(Order, tag="announce_pieces", frozen=True):
    """Send HAVE to those who fetch this file from here. `owners`: thumbprints of peers that have these pieces already,
    and are not told.
    """

    file_id: int
    pieces: tuple[int, ...]
    owners: tuple[bytes, ...]


class TellAgain(Order, tag="tell_again", frozen=True):
    """Send HAVE of every piece to this peer: it may lack pieces that it was not told of as long as it had them."""

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
    """The socket closes next, on purpose: the client lives on, or ends in good order."""


class Ping(Order, tag="ping", frozen=True):
    """Answered by `Pong` once every order before it has been carried out."""

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

"""What crosses between the coordinator and its workers: orders one way, news the other. Plain values.

File descriptors travel beside the message that names how many it needs (`descriptor_count`).
"""

from typing import ClassVar

from engine.errors import Cause
from engine.ipc import contest_events, endgame_events
from engine.ipc.message import News as News
from engine.ipc.message import Order as Order
from engine.storage.stamp import Stamp
from engine.wire.messages import Neighbour

# ---------------------------------------------------------------- orders, coordinator → worker


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
    """A file to serve in a group and, while it is incomplete, to fetch. Descriptors: shared state, then the data.

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


class AcceptLink(Order, tag="accept_link", frozen=True):
    """Descriptor: a socket somebody dialled."""

    descriptor_count: ClassVar[int] = 1


class Dial(Order, tag="dial", frozen=True):
    """`is_open`: plain TCP with proofs, instead of TLS."""

    link_id: int
    host: str
    port: int
    thumbprint: bytes
    is_open: bool


class OpenFile(Order, tag="open_file", frozen=True):
    link_id: int
    file_id: int
    ticket: str


class RenewTicket(Order, tag="renew_ticket", frozen=True):
    link_id: int
    group_id: str
    ticket: str


class CloseFile(Order, tag="close_file", frozen=True):
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
    """The end of the channel that follows is meant: the client lives on, or ends in good order."""


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
    | AcceptLink
    | Dial
    | OpenFile
    | RenewTicket
    | CloseFile
    | contest_events.ContestPiece
    | EndLink
    | EndAllLinks
    | Fetch
    | endgame_events.CutRequest
    | endgame_events.KeepScratch
    | endgame_events.CheckParts
    | endgame_events.HashRanges
    | RevokeRequest
    | AnnouncePieces
    | TellAgain
    | SpreadPeers
    | HashPieces
    | Ping
    | Farewell
)


# ---------------------------------------------------------------- news, worker → coordinator


class LinkUp(News, tag="link_up", frozen=True):
    link_id: int
    user_id: str


class LinkDown(News, tag="link_down", frozen=True):
    """Nothing of this link is being written any more."""

    link_id: int
    cause: Cause
    reason: str


class FileOpened(News, tag="file_opened", frozen=True):
    link_id: int
    file_id: int
    bitfield: bytes


class FileRefused(News, tag="file_refused", frozen=True):
    link_id: int
    file_id: int
    code: str
    reason: str


class PeerHas(News, tag="peer_has", frozen=True):
    link_id: int
    file_id: int
    pieces: tuple[int, ...]


class PeersNamed(News, tag="peers_named", frozen=True):
    """A peer says that these serve the file too."""

    link_id: int
    file_id: int
    peers: tuple[Neighbour, ...]


class PieceGranted(News, tag="piece_granted", frozen=True):
    """`at_s`: time.monotonic() of the worker, which is the machine's; news may wait for the coordinator."""

    link_id: int
    file_id: int
    request_id: int
    piece: int
    at_s: float


class PieceVerified(News, tag="piece_verified", frozen=True):
    """The bytes are in the file and match the manifest, since `at_s`."""

    link_id: int
    file_id: int
    request_id: int
    piece: int
    at_s: float


class PieceRejected(News, tag="piece_rejected", frozen=True):
    """What came does not match the manifest: the peer at the other end of this link sent wrong bytes."""

    link_id: int
    file_id: int
    request_id: int
    piece: int


class RequestRefused(News, tag="request_refused", frozen=True):
    """The server will not answer this request, or only in `after_s` seconds (0: never)."""

    link_id: int
    request_id: int
    after_s: float


class RequestRevoked(News, tag="request_revoked", frozen=True):
    """Not one more byte of this request will be written."""

    file_id: int
    request_id: int


class WriteFailed(News, tag="write_failed", frozen=True):
    file_id: int
    error_number: int


class FileUnreadable(News, tag="file_unreadable", frozen=True):
    """`error_number`: ESTALE if it carries other marks than it was shared with."""

    file_id: int
    error_number: int
    reason: str


class Served(News, tag="served", frozen=True):
    """Bytes sent since the last one."""

    file_id: int
    user_id: str
    count: int


class PiecesHashed(News, tag="pieces_hashed", frozen=True):
    """`leaves`: 32 bytes a piece, from `first` on."""

    job_id: int
    first: int
    leaves: bytes


class HashFailed(News, tag="hash_failed", frozen=True):
    job_id: int
    first: int
    reason: str


class Pong(News, tag="pong", frozen=True):
    number: int


AnyNews = (
    LinkUp
    | LinkDown
    | FileOpened
    | FileRefused
    | contest_events.FileContested
    | PeerHas
    | PeersNamed
    | PieceGranted
    | PieceVerified
    | PieceRejected
    | RequestRefused
    | RequestRevoked
    | endgame_events.RequestCut
    | endgame_events.PartReceived
    | endgame_events.ScratchReady
    | endgame_events.PartsChecked
    | endgame_events.RangesHashed
    | endgame_events.Wasted
    | WriteFailed
    | FileUnreadable
    | contest_events.PieceContested
    | Served
    | PiecesHashed
    | HashFailed
    | Pong
)

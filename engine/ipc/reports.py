"""What workers report to the coordinator. Plain values.

Reports of one worker arrive in the order in which things happened there; times are time.monotonic() of the machine,
since a report may wait before it is read.
Not here: what workers are told to do (orders), how either travels (message_socket).
"""

from typing import ClassVar

from msgspec import Struct

from engine.errors import Cause
from engine.wire.messages import Neighbour


class Report(Struct, frozen=True, array_like=True):
    descriptor_count: ClassVar[int] = 0


class RequestCut(Report, tag="request_cut", frozen=True):
    """The request will end at byte `at` of its piece; 0 if it was too late to cut it."""

    file_id: int
    request_id: int
    at: int


class PartReceived(Report, tag="part_received", frozen=True):
    """A part of a piece is in the file. `digest`: its hash, which nothing can be compared with before the whole piece
    is known.
    """

    link_id: int
    file_id: int
    request_id: int
    digest: bytes
    at_s: float


class ScratchReady(Report, tag="scratch_ready", frozen=True):
    """A duplicate is in memory and matches the manifest."""

    link_id: int
    file_id: int
    request_id: int
    at_s: float


class PartsChecked(Report, tag="parts_checked", frozen=True):
    file_id: int
    piece: int
    is_good: bool


class RangesHashed(Report, tag="ranges_hashed", frozen=True):
    file_id: int
    piece: int
    digests: list[bytes]


class Wasted(Report, tag="wasted", frozen=True):
    """So many bytes of a file came and were not kept."""

    file_id: int
    count: int


OfEndgame = RequestCut | PartReceived | ScratchReady | PartsChecked | RangesHashed | Wasted
"""Reports about the endgame of one file."""


class MismatchSent(Report, tag="mismatch_sent", frozen=True):
    """The server was told. Not one more byte of the file is taken from this link."""

    link_id: int
    file_id: int


class MismatchReceived(Report, tag="mismatch_received", frozen=True):
    """A fetcher says that this piece, as it was sent from here, does not match."""

    file_id: int
    piece: int
    user_id: str


class LinkUp(Report, tag="link_up", frozen=True):
    """The peer has proven that it holds the expected key."""

    link_id: int
    user_id: str


class LinkDown(Report, tag="link_down", frozen=True):
    """The link has ended; nothing that came over it is written any more."""

    link_id: int
    cause: Cause
    reason: str


class ChannelOpened(Report, tag="channel_opened", frozen=True):
    """The server gives the file. `bitfield`: the pieces that it has."""

    link_id: int
    file_id: int
    bitfield: bytes


class ChannelRefused(Report, tag="channel_refused", frozen=True):
    """The server does not give the file, or not any more."""

    link_id: int
    file_id: int
    code: str
    reason: str


class PeerHas(Report, tag="peer_has", frozen=True):
    """The server gained these pieces."""

    link_id: int
    file_id: int
    pieces: tuple[int, ...]


class PeersNamed(Report, tag="peers_named", frozen=True):
    """A peer says that these serve the file too."""

    link_id: int
    file_id: int
    peers: tuple[Neighbour, ...]


class PieceGranted(Report, tag="piece_granted", frozen=True):
    """The server chose this candidate, and its first bytes are here."""

    link_id: int
    file_id: int
    request_id: int
    piece: int
    at_s: float


class PieceVerified(Report, tag="piece_verified", frozen=True):
    """The bytes are in the file and match the manifest, since `at_s`."""

    link_id: int
    file_id: int
    request_id: int
    piece: int
    at_s: float


class PieceMismatched(Report, tag="piece_mismatched", frozen=True):
    """The piece that came over this link does not match the manifest: its peer sent wrong bytes."""

    link_id: int
    file_id: int
    request_id: int
    piece: int


class RequestRejected(Report, tag="request_rejected", frozen=True):
    """The server will not answer this request, or only in `after_s` seconds (0: never)."""

    link_id: int
    file_id: int
    request_id: int
    after_s: float


class RequestRevoked(Report, tag="request_revoked", frozen=True):
    """Not one more byte of this request is written."""

    file_id: int
    request_id: int


class WriteFailed(Report, tag="write_failed", frozen=True):
    file_id: int
    error_number: int


class FileUnreadable(Report, tag="file_unreadable", frozen=True):
    """`error_number`: ESTALE if the file's stamp is not that which it was shared with."""

    file_id: int
    error_number: int
    reason: str


class PiecesHashed(Report, tag="pieces_hashed", frozen=True):
    """`leaves`: 32 bytes a piece, from `first` on."""

    job_id: int
    first: int
    leaves: bytes


class HashFailed(Report, tag="hash_failed", frozen=True):
    job_id: int
    first: int
    reason: str


class Pong(Report, tag="pong", frozen=True):
    number: int


AnyReport = (
    LinkUp
    | LinkDown
    | ChannelOpened
    | ChannelRefused
    | MismatchSent
    | PeerHas
    | PeersNamed
    | PieceGranted
    | PieceVerified
    | PieceMismatched
    | RequestRejected
    | RequestRevoked
    | RequestCut
    | PartReceived
    | ScratchReady
    | PartsChecked
    | RangesHashed
    | Wasted
    | WriteFailed
    | FileUnreadable
    | MismatchReceived
    | PiecesHashed
    | HashFailed
    | Pong
)

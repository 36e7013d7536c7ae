"""Orders and news of the endgame: pieces that are cut, doubled, put together and compared. Plain values."""

from engine.ipc.message import News, Order


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


class RequestCut(News, tag="request_cut", frozen=True):
    """It will end at byte `at` of its piece; 0: too late."""

    file_id: int
    request_id: int
    at: int


class PartReceived(News, tag="part_received", frozen=True):
    """A part of a piece is in the file; the hash of the part, which nothing can be compared with yet."""

    link_id: int
    file_id: int
    request_id: int
    digest: bytes
    at_s: float


class ScratchReady(News, tag="scratch_ready", frozen=True):
    """A duplicate is in memory and matches the manifest."""

    link_id: int
    file_id: int
    request_id: int
    at_s: float


class PartsChecked(News, tag="parts_checked", frozen=True):
    file_id: int
    piece: int
    is_good: bool


class RangesHashed(News, tag="ranges_hashed", frozen=True):
    file_id: int
    piece: int
    digests: list[bytes]


class Wasted(News, tag="wasted", frozen=True):
    """Bytes that came and were not kept."""

    file_id: int
    count: int


OfEndgame = RequestCut | PartReceived | ScratchReady | PartsChecked | RangesHashed | Wasted
"""What the endgame of one file brings about."""

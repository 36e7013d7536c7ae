"""What crosses between the coordinator and its workers about pieces that did not match, from others and from here.

Not here: everything else (events).
"""

from engine.ipc.message import News, Order


class ContestPiece(Order, tag="contest_piece", frozen=True):
    """A piece from this link does not match: tell the server, and take nothing more of the file from it. Answered by
    `FileContested`.
    """

    link_id: int
    file_id: int
    piece: int


class FileContested(News, tag="file_contested", frozen=True):
    """Not one more byte of the file comes from this link."""

    link_id: int
    file_id: int


class PieceContested(News, tag="piece_contested", frozen=True):
    """A fetcher says that what it was sent of this piece does not match."""

    file_id: int
    piece: int
    user_id: str

"""What a serve link has open, and what it is sending. Not here: when and to whom (serve_link, piece_sender)."""

from dataclasses import dataclass

from engine.net.admission import Grant, ServedFile
from engine.wire.messages import Request


@dataclass(slots=True)
class Channel:
    """A file that the fetcher opened."""

    group_id: str
    file: ServedFile
    grant: Grant
    has_mismatch: bool = False
    """The fetcher says that what it was sent is wrong: it gets nothing more before it opens the file again."""


@dataclass(slots=True)
class Sending:
    """The piece chosen for a request: the bytes from `begin` to `end` of it are still to be sent."""

    request: Request
    channel: Channel
    piece: int
    begin: int
    end: int
    is_cut: bool = False

    def count_back(self) -> None:
        """The fetcher is gone or does not want it any more."""
        self.channel.file.sent.count_back(self.piece)

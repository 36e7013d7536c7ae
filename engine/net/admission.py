"""What a gate answers when a peer asks for a file: the file and how long it may be served, or a refusal. Pure types.

Not here: how a gate decides (worker.gate), which message asks for it (serve_link).
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.net.tls import PeerIdentity
from engine.swarm.bitfield import Flags
from engine.swarm.geometry import Geometry
from engine.swarm.sender_choice import SentPieces
from engine.wire.messages import Open


class ServedFile(Protocol):
    """A file as the serving side sees it."""

    @property
    def file_id(self) -> int: ...
    @property
    def geometry(self) -> Geometry: ...
    @property
    def have(self) -> Flags: ...
    @property
    def sent(self) -> SentPieces: ...

    def read(self, offset: int, length: int) -> memoryview | bytes:
        """Raises OSError when the file is not what was shared any more."""

    def descriptor(self) -> int:
        """For sendfile; raises OSError likewise."""


class Refusal(Exception):
    """The gate says no; `code` for programs, `str()` for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Grant(NamedTuple):
    """What a ticket gives: membership as of this epoch of the group, until a time (time.time())."""

    epoch: int
    valid_until_s: float


@dataclass(slots=True)
class Channel:
    """A file that the fetcher opened on a link, and by what right."""

    group_id: str
    file: ServedFile
    grant: Grant
    has_mismatch: bool = False
    """The fetcher says that what it was sent is wrong: it gets nothing more before it opens the file again."""


class Gate(Protocol):
    """Decides which peer may have which file."""

    def admit(self, peer: PeerIdentity, message: Open, *, is_open: bool) -> tuple[ServedFile, Grant]:
        """The file, and what the ticket gives; raises Refusal. `is_open`: the link is not encrypted."""

    def judge(self, peer: PeerIdentity, group_id: str, ticket: str, *, is_open: bool) -> Grant:
        """What this ticket gives this peer in this group; raises Refusal."""

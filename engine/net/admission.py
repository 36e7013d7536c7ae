"""What a serve link asks of whoever owns it: whether a peer may have a file, and the file's pieces. Pure types.

Not here: how that is decided (worker.gate), what the link does with the answer (serve_link).
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.net.tls import PeerIdentity
from engine.swarm.bitfield import Flags
from engine.swarm.geometry import Geometry
from engine.swarm.sender_choice import SentPieces
from engine.wire.messages import Open, Renew

if TYPE_CHECKING:
    from engine.net.serve_link import ServeLink


class ServedFile(Protocol):
    """A file as the serving side sees it."""

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
    """What a ticket gives: membership as of this epoch of the group, until then (time.time())."""

    epoch: int
    valid_until_s: float


class Gate(Protocol):
    """Decides who may have what; told what was sent."""

    def admit(self, peer: PeerIdentity, message: Open, *, is_open: bool) -> tuple[ServedFile, Grant]:
        """The file, and what the ticket gives. Raises Refusal."""

    def renewed(self, peer: PeerIdentity, message: Renew, *, is_open: bool) -> Grant:
        """What the new ticket gives. Raises Refusal."""

    def proven(self, link: "ServeLink", peer: PeerIdentity) -> bool:
        """Who is at the other end was shown; False if it may have no more links."""

    def sent(self, peer: PeerIdentity, file: ServedFile, count: int) -> None: ...
    def unreadable(self, file: ServedFile, error: OSError) -> None: ...
    def contested(self, peer: PeerIdentity, file: ServedFile, piece: int) -> None:
        """The peer says that this piece, as it was sent, does not match the manifest."""

    def link_lost(self, link: "ServeLink") -> None: ...

"""Which message may come when on a link: one small state machine per role, fed with decoded messages.

`FetcherState` judges what a server says, `ServerState` what a fetcher says. They know what this link has agreed on: its
channels, their geometry, the requests under way. A message that does not fit is a `RemoteProtocolError`, which ends the
link. Messages of two honest sides may cross on the wire, as a request and the closing of its channel do: such a one is
let pass.

Invariant (I5): an index, offset or length that was let pass lies inside the file it belongs to, and nothing is queued
without bound.
Not here: tickets, files, sockets.
"""

import ipaddress
from dataclasses import dataclass, field
from enum import Enum, auto

from engine.errors import RemoteProtocolError
from engine.swarm.geometry import Geometry
from engine.wire.messages import (
    NONCE_BYTES,
    PROTOCOL_VERSION,
    REJECT_AFTER_MS_MAX,
    Bye,
    Cancel,
    Close,
    Closed,
    Gossip,
    Have,
    Hello,
    Message,
    Mismatch,
    Open,
    Opened,
    PieceHeader,
    Prove,
    Refused,
    Reject,
    Renew,
    Request,
    Role,
)

CUT_BYTES = 256 << 10
"""A request is cut at a multiple of this from where it began, as slices usually are."""


class Phase(Enum):
    GREETING = auto()
    PROVING = auto()
    TALKING = auto()
    ENDED = auto()


MAY_SAY: dict[tuple[Role, Phase], frozenset[type]] = {
    (Role.FETCHER, Phase.GREETING): frozenset({Hello}),
    (Role.FETCHER, Phase.PROVING): frozenset({Prove}),
    (Role.FETCHER, Phase.TALKING): frozenset({Open, Renew, Request, Cancel, Mismatch, Close}),
    (Role.FETCHER, Phase.ENDED): frozenset(),
    (Role.SERVER, Phase.GREETING): frozenset({Hello, Bye}),
    (Role.SERVER, Phase.PROVING): frozenset({Prove, Bye}),
    (Role.SERVER, Phase.TALKING): frozenset({Opened, Refused, Closed, Have, PieceHeader, Reject, Gossip, Bye}),
    (Role.SERVER, Phase.ENDED): frozenset(),
}


class _PeerState:
    """What both roles share: the greeting, and which message may come in which phase."""

    role: Role
    needs_proof: bool
    phase: Phase

    @property
    def is_talking(self) -> bool:
        """Whether the greeting, and on an open link the proof, has come."""
        return self.phase is Phase.TALKING

    def _check_may_say(self, message: Message) -> None:
        if type(message) not in MAY_SAY[self.role, self.phase]:
            raise RemoteProtocolError(f"{type(message).__name__} while {self.phase.name.lower()}")
        if isinstance(message, Hello):
            if message.version != PROTOCOL_VERSION:
                raise RemoteProtocolError(f"protocol version {message.version}, this is {PROTOCOL_VERSION}")
            if message.role != self.role:
                raise RemoteProtocolError(f"the role {message.role.name}, not {self.role.name}")
            if len(message.nonce) != (NONCE_BYTES if self.needs_proof else 0):
                raise RemoteProtocolError(f"a nonce of {len(message.nonce)} bytes")
            self.phase = Phase.PROVING if self.needs_proof else Phase.TALKING
        elif isinstance(message, Prove):
            self.phase = Phase.TALKING
        elif isinstance(message, Bye):
            self.phase = Phase.ENDED


@dataclass(slots=True)
class _Asked:
    """A request that was sent. `piece` and `next_begin` follow the slices as they come; `stop`: where it was cut."""

    channel: int
    candidates: tuple[int, ...]
    begin: int
    length: int
    is_cancelled: bool = False
    piece: int | None = None
    next_begin: int = 0
    end: int = 0
    stop: int | None = None
    whole: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice that is about to arrive, and was found in order."""

    request_id: int
    channel: int
    piece: int
    begin: int
    length: int
    is_first: bool
    is_last: bool
    wanted: int
    """How many of its first bytes are to be kept: fewer than `length` if the request was taken back or cut off."""
    is_last_wanted: bool
    """With this slice all is here that is still wanted of the request."""
    is_part: bool
    """The request was for a part of a piece."""

    @property
    def is_cancelled(self) -> bool:
        """Whether all of its bytes are read and thrown away."""
        return not self.wanted


@dataclass(slots=True)
class FetcherState(_PeerState):
    """The fetcher's view of one link: judges the server."""

    role = Role.SERVER
    needs_proof: bool = False
    phase: Phase = Phase.GREETING
    _channels: dict[int, Geometry] = field(default_factory=dict)
    _opening: set[int] = field(default_factory=set)
    _opened: set[int] = field(default_factory=set)
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _arriving: int | None = None

    def opening(self, channel: int, geometry: Geometry) -> None:
        """OPEN is about to be sent."""
        self._channels[channel] = geometry
        self._opening.add(channel)

    def closing(self, channel: int) -> None:
        """CLOSE is about to be sent, or CLOSED came. What is still on its way for this channel is let pass."""
        self._opening.discard(channel)
        self._opened.discard(channel)
        for asked in self._asked.values():
            if asked.channel == channel:
                asked.is_cancelled = True

    def asking(self, request: Request) -> None:
        """REQUEST is about to be sent. If the channel was closed meanwhile, the answer will not be wanted."""
        is_cancelled = request.channel not in self._opened
        self._asked[request.request_id] = _Asked(
            request.channel, request.candidates, request.begin, request.length, is_cancelled
        )

    def cancelling(self, request_id: int) -> bool:
        """A request is taken back; True if a CANCEL should be sent, False if the request had ended."""
        asked = self._asked.get(request_id)
        if asked is None or asked.is_cancelled:
            return False
        asked.is_cancelled = True
        return True

    def cutting(self, request_id: int) -> int:
        """Only half of what is still to come is wanted: returns the byte of the piece where that ends, for CANCEL; 0 if
        less than a slice would be left for another link.
        """
        asked = self._asked.get(request_id)
        if asked is None or asked.is_cancelled or asked.piece is None:
            return 0
        end = asked.end if asked.stop is None else asked.stop
        kept = -(-(end - asked.next_begin) // (2 * CUT_BYTES)) * CUT_BYTES
        stop = asked.next_begin + kept
        if end - stop <= 0 or not kept:
            return 0
        asked.stop = stop
        return stop

    @property
    def owes_answers(self) -> bool:
        """Whether the server has to answer a request."""
        return bool(self._asked)

    @property
    def owes_word(self) -> bool:
        """Whether the server has something to send, if only its greeting, so that its silence means trouble."""
        return bool(self._asked or self._opening) or not self.is_talking

    def received(self, message: Message) -> Slice | None:
        """Judge one message; for a PieceHeader returns what its bytes are. Raises RemoteProtocolError."""
        self._check_may_say(message)
        match message:
            case PieceHeader():
                return self._slice(message)
            case Opened():
                self._check_opened(message)
            case Refused() | Closed():
                self._known_channel(message.channel)
                self.closing(message.channel)
            case Have():
                geometry = self._known_channel(message.channel)
                if max(message.pieces) >= geometry.piece_count:
                    raise RemoteProtocolError("a HAVE of a piece the file does not have")
            case Gossip():
                self._check_gossip(message)
            case Reject():
                if message.after_ms > REJECT_AFTER_MS_MAX:
                    raise RemoteProtocolError(f"a REJECT that puts us off for {message.after_ms} ms")
                self._ended(message.request_id)
        return None

    def has_channel(self, channel: int) -> bool:
        return channel in self._opened

    def channel_of(self, request_id: int) -> int | None:
        """Of a request that is under way; None if there is no such request."""
        asked = self._asked.get(request_id)
        return asked.channel if asked is not None else None

    def _check_opened(self, message: Opened) -> None:
        geometry = self._known_channel(message.channel)
        if message.channel in self._opened:
            raise RemoteProtocolError("OPENED twice")
        if len(message.bitfield) != (geometry.piece_count + 7) // 8:
            raise RemoteProtocolError(f"a bitfield of {len(message.bitfield)} bytes for {geometry.piece_count} pieces")
        self._opening.discard(message.channel)
        self._opened.add(message.channel)

    def _check_gossip(self, message: Gossip) -> None:
        self._known_channel(message.channel)
        for peer in message.peers:
            try:
                ipaddress.ip_address(peer.host)
            except ValueError as error:
                raise RemoteProtocolError("gossip of a peer without a numeric address") from error

    def _known_channel(self, channel: int) -> Geometry:
        geometry = self._channels.get(channel)
        if geometry is None:
            raise RemoteProtocolError(f"channel {channel}, which was never opened")
        return geometry

    def _ended(self, request_id: int) -> None:
        if self._asked.pop(request_id, None) is None:
            raise RemoteProtocolError(f"an answer to request {request_id}, which is not under way")
        if self._arriving == request_id:
            self._arriving = None

    def _slice(self, header: PieceHeader) -> Slice:
        asked = self._asked.get(header.request_id)
        if asked is None:
            raise RemoteProtocolError(f"a piece for request {header.request_id}, which is not under way")
        is_first = asked.piece is None
        if is_first:
            self._begin_piece(header, asked)
        elif self._arriving != header.request_id or header.piece != asked.piece:
            raise RemoteProtocolError("slices of two pieces mixed")
        if header.begin != asked.next_begin or header.length > asked.end - asked.next_begin:
            raise RemoteProtocolError(f"a slice at {header.begin} of {header.length} bytes, out of its place")
        stop = asked.end if asked.stop is None else asked.stop
        wanted = 0 if asked.is_cancelled else max(0, min(header.length, stop - header.begin))
        asked.next_begin += header.length
        is_last = asked.next_begin == asked.end
        if is_last:
            self._ended(header.request_id)
        return Slice(header.request_id, asked.channel, header.piece, header.begin, header.length, is_first, is_last,
                     wanted, wanted > 0 and asked.next_begin >= stop, stop - asked.begin < asked.whole)  # fmt: skip

    def _begin_piece(self, header: PieceHeader, asked: _Asked) -> None:
        if self._arriving is not None:
            raise RemoteProtocolError("a piece before the one before it was whole")
        if header.piece not in asked.candidates:
            raise RemoteProtocolError(f"piece {header.piece}, which was not asked for")
        self._arriving = header.request_id
        asked.piece, asked.next_begin = header.piece, asked.begin
        length = self._channels[asked.channel].length_of(header.piece)
        asked.end = asked.begin + asked.length if asked.length else length
        asked.whole = length


@dataclass(slots=True)
class ServerState(_PeerState):
    """The server's view of one link: judges the fetcher."""

    requests_max: int
    channels_max: int
    role = Role.FETCHER
    needs_proof: bool = False
    phase: Phase = Phase.GREETING
    _channels: dict[int, Geometry | None] = field(default_factory=dict)
    _queued: set[int] = field(default_factory=set)

    def opened(self, channel: int, geometry: Geometry) -> None:
        """OPENED is about to be sent."""
        self._channels[channel] = geometry

    def closed(self, channel: int) -> None:
        """CLOSED or REFUSED is about to be sent."""
        self._channels.pop(channel, None)

    def answered(self, request_id: int) -> None:
        """The last slice, or REJECT, is about to be sent."""
        self._queued.discard(request_id)

    def received(self, message: Message) -> None:
        """Judge one message; raises RemoteProtocolError."""
        self._check_may_say(message)
        match message:
            case Open():
                self._check_open(message)
            case Request():
                self._check_request(message)
            case Mismatch():
                self._check_mismatch(message)
            case Close():
                self._channels.pop(message.channel, None)

    def has_channel(self, channel: int) -> bool:
        """Whether requests on this channel are answered with pieces."""
        return self._channels.get(channel) is not None

    def is_queued(self, request_id: int) -> bool:
        """Whether this request still waits for its answer."""
        return request_id in self._queued

    def _check_open(self, message: Open) -> None:
        if message.channel in self._channels:
            raise RemoteProtocolError(f"channel {message.channel} opened twice")
        if len(self._channels) >= self.channels_max:
            raise RemoteProtocolError(f"more than {self.channels_max} channels")
        self._channels[message.channel] = None

    def _check_mismatch(self, message: Mismatch) -> None:
        geometry = self._channels.get(message.channel)
        if geometry is not None and message.piece >= geometry.piece_count:  # a CLOSED may have crossed it
            raise RemoteProtocolError(f"a mismatch of piece {message.piece} of {geometry.piece_count}")

    def _check_request(self, message: Request) -> None:
        if message.request_id in self._queued:
            raise RemoteProtocolError(f"request {message.request_id} twice")
        if len(self._queued) >= self.requests_max:
            raise RemoteProtocolError(f"more than {self.requests_max} requests queued")
        self._queued.add(message.request_id)
        geometry = self._channels.get(message.channel)
        if geometry is None:
            return  # closed or never opened: it gets a REJECT, since a CLOSED may have crossed it
        for piece in message.candidates:
            if piece >= geometry.piece_count:
                raise RemoteProtocolError(f"a request for piece {piece} of {geometry.piece_count}")
            end = message.begin + (message.length or 1)
            if end > geometry.length_of(piece):
                raise RemoteProtocolError(f"a request for bytes up to {end} of piece {piece}")

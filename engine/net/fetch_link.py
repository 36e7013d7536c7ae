"""The fetching end of a link: dials a server, opens files on it, asks for pieces and receives them.

The bytes of a piece go from the socket into this link's own block, which stays in the core's cache, and from there to
the sink (hash and write) once per block: no byte is touched by Python and no memory is taken per piece.

Invariant (I2): after `cancel` returned, not one byte of that request reaches a sink.
Not here: what to ask for (swarm.scheduler), what a sink does (storage), who decides (transfer).
"""

import asyncio
import socket
import ssl
import time
from typing import Protocol

from engine.errors import Cause, RemoteProtocolError
from engine.net.link_end import NoLink, cause_of
from engine.net.link_transport import LinkTransport
from engine.net.plain_transport import PlainTransport
from engine.net.proof import Prover, thumbprint_of
from engine.net.sealed_transport import SealedTransport, shake_hands
from engine.net.tls import Identity, NotValidNow, PeerIdentity, WrongPeer, check_expected, peer_of
from engine.swarm.geometry import Geometry
from engine.wire.codec import Decoder, encode
from engine.wire.link_state import FetcherState, Slice
from engine.wire.messages import (
    PROTOCOL_VERSION,
    Bye,
    Cancel,
    Close,
    Closed,
    Gossip,
    Have,
    Hello,
    Message,
    Mismatch,
    Neighbour,
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

BATCH_BYTES_MAX = 64 << 10
_BATCH_S = 0.2
"""Of a slice a link is woken for so many bytes at a time, but for no more than come in so long at its pace: the rest
of a slice that a link falls silent in is not missed for long, and no link that is slow is taken for silent."""


class PieceSink(Protocol):
    """Where the bytes of one piece go, in order."""

    def write(self, block: memoryview) -> None:
        """Raises OSError."""

    def finish(self) -> bool:
        """Whether the piece is what it should be."""

    def digest(self) -> bytes:
        """The hash of what was written; of a part, which cannot be compared with anything yet."""


class FetchListener(Protocol):
    """Who is told what happens on a link. `link_down` comes exactly once, and last."""

    def link_up(self, link: "FetchLink", peer: PeerIdentity) -> None: ...
    def channel_opened(self, link: "FetchLink", channel: int, bitfield: bytes) -> None: ...
    def channel_refused(self, link: "FetchLink", channel: int, code: str, reason: str) -> None: ...
    def peer_has(self, link: "FetchLink", channel: int, pieces: tuple[int, ...]) -> None: ...
    def peers_named(self, link: "FetchLink", channel: int, peers: tuple[Neighbour, ...]) -> None:
        """The server says that these serve the file too."""

    def sink_for(self, link: "FetchLink", request_id: int, channel: int, piece: int, begin: int) -> PieceSink | None:
        """None if the file is gone meanwhile: the bytes are read and dropped."""

    def granted(self, link: "FetchLink", request_id: int, channel: int, piece: int) -> None: ...
    def received(self, link: "FetchLink", request_id: int, channel: int, piece: int, is_good: bool) -> None: ...
    def received_part(self, link: "FetchLink", request_id: int, channel: int, digest: bytes) -> None: ...
    def request_rejected(self, link: "FetchLink", request_id: int, channel: int, after_s: float) -> None:
        """`after_s`: how long nothing else should be asked for, if the server only puts us off; else 0."""

    def wasted(self, link: "FetchLink", channel: int, count: int) -> None:
        """So many bytes of a file came and were not kept."""

    def write_failed(self, link: "FetchLink", channel: int, error: OSError) -> None: ...
    def link_down(self, link: "FetchLink", cause: Cause, reason: str) -> None: ...


class FetchLink(asyncio.BufferedProtocol):
    """One link; made by `dial`."""

    def __init__(
        self, listener: FetchListener, identity: Identity, thumbprint: bytes, block_bytes: int, *, is_open: bool
    ) -> None:
        """`thumbprint`: whose key the server must show. `is_open`: plain TCP, both sides prove who they are."""
        self._listener = listener
        self._thumbprint = thumbprint
        self._own_thumbprint = thumbprint_of(identity) if is_open else b""
        self._prover = Prover(identity, Role.FETCHER, thumbprint) if is_open else None
        self._their_nonce = b""
        self._block = memoryview(bytearray(block_bytes))
        self._filled = 0
        self._decoder = Decoder()
        self._state = FetcherState(needs_proof=is_open)
        self._transport: asyncio.Transport | None = None
        self._batch_bytes, self._slice_at_s = 0, 0.0
        self._slice: Slice | None = None
        self._sink: PieceSink | None = None
        self._sink_request: int | None = None
        self._sink_channel = self._wanted = self._kept = 0
        self._end_cause: Cause = "hung_up"
        self._end_reason = "closed by the peer"
        self._heard_at_s = time.monotonic()

    # ------------------------------------------------------------ what the worker orders

    async def dial(self, host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> None:
        """Raises NoLink; otherwise `link_up` follows, or `link_down`."""
        connected: socket.socket | None = None
        try:
            async with asyncio.timeout(timeout_s):
                connected = await _connect(host, port)
                if self._prover is None:
                    SealedTransport(await shake_hands(connected, context, dialled=True), self)
                else:
                    PlainTransport(connected, self)
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no answer within {timeout_s:g} s"
            raise NoLink(cause_of(error, is_connected=connected is not None), reason) from error

    def open_channel(self, channel: int, geometry: Geometry, group_id: str, root: bytes, ticket: str) -> None:
        if not self._state.owes_word:
            self._heard_at_s = time.monotonic()
        self._state.opening(channel, geometry)
        self._send(Open(channel, group_id, root, ticket))

    def renew(self, group_id: str, ticket: str) -> None:
        self._send(Renew(group_id, ticket))

    def ask(self, request_id: int, channel: int, candidates: tuple[int, ...], begin: int = 0, length: int = 0) -> None:
        """`length` 0: to the end of the piece."""
        if not self._state.owes_word:
            self._heard_at_s = time.monotonic()
        request = Request(request_id, channel, begin, length, candidates)
        self._state.asking(request)
        self._send(request)

    def cancel(self, request_id: int) -> None:
        if self._sink_request == request_id:
            self._drop_sink()
        if self._state.cancelling(request_id):
            self._send(Cancel(request_id))

    def cut(self, request_id: int) -> int:
        """Let a request end in the middle of what is still to come; returns the byte of its piece where that is, 0 if
        it is too late. `received_part` follows once it is reached.
        """
        stop = self._state.cutting(request_id) if self._sink_request == request_id else 0
        if stop:
            self._send(Cancel(request_id, stop))
        return stop

    def close_channel(self, channel: int) -> None:
        if self._slice is not None and self._slice.channel == channel:
            self._drop_sink()
        self._state.closing(channel)
        self._send(Close(channel))

    def send_mismatch(self, channel: int, piece: int) -> None:
        """The piece does not match: not one more byte on this channel, and the server may look at its copy."""
        if self._slice is not None and self._slice.channel == channel:
            self._drop_sink()
        self._state.closing(channel)
        self._send(Mismatch(channel, piece))

    @property
    def is_busy(self) -> bool:
        """Whether the server owes an answer to a request."""
        return self._state.owes_answers

    def is_silent(self, timeout_s: float) -> bool:
        """Whether the server owes a greeting or an answer, and nothing came for so long. Dialling has its own limit."""
        is_owed = self._transport is not None and self._state.owes_word
        return is_owed and time.monotonic() - self._heard_at_s > timeout_s

    def end(self, reason: str, cause: Cause = "ended_here") -> None:
        """Close at once; `link_down` follows."""
        self._end_reason, self._end_cause = reason, cause
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._heard_at_s = transport, time.monotonic()
        if self._prover is not None:
            self._send(Hello(PROTOCOL_VERSION, Role.FETCHER, self._prover.nonce))
            return
        try:
            peer = check_expected(peer_of(transport.get_extra_info("ssl_object")), self._thumbprint)
        except (RemoteProtocolError, WrongPeer) as error:
            self._end_for(error)
            return
        self._send(Hello(PROTOCOL_VERSION, Role.FETCHER))
        self._listener.link_up(self, peer)

    def get_buffer(self, sizehint: int) -> memoryview:
        left = self._decoder.body_left
        if left:
            return self._block[self._filled : self._filled + left]
        return self._decoder.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self._heard_at_s = time.monotonic()
        try:
            if self._decoder.body_left:
                self._decoder.body_received(nbytes)
                self._block_grew(nbytes)
            else:
                self._decoder.received(nbytes)
            for message in self._decoder.messages():
                self._handle(message)
            if isinstance(self._transport, LinkTransport):
                self._transport.expect(min(self._decoder.body_left, self._batch_bytes))
        except (RemoteProtocolError, WrongPeer) as error:
            self._end_for(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_sink()
        if exc is not None and self._end_cause != "broke_protocol":
            self._end_cause, self._end_reason = cause_of(exc, is_connected=True), f"connection lost: {exc}"
        self._listener.link_down(self, self._end_cause, self._end_reason)

    def _end_for(self, error: RemoteProtocolError | WrongPeer) -> None:
        """Only for a breach of the protocol somebody is to blame."""
        wrong: Cause = "other_peer" if isinstance(error, WrongPeer) else "broke_protocol"
        self.end(str(error), "wrong_clock" if isinstance(error, NotValidNow) else wrong)

    # ------------------------------------------------------------ messages

    def _send(self, message: Message) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(message))

    def _handle(self, message: Message) -> None:
        rejected = self._state.channel_of(message.request_id) if isinstance(message, Reject) else None
        arriving = self._state.received(message)
        match message:
            case PieceHeader() if arriving is not None:
                self._begin_slice(arriving)
            case Hello() if self._prover is not None:
                self._their_nonce = message.nonce
                self._send(self._prover.prove(message.nonce))
            case Prove() if self._prover is not None:
                peer = self._prover.check(message, self._their_nonce, self._own_thumbprint)
                self._listener.link_up(self, peer)
            case Opened():
                self._listener.channel_opened(self, message.channel, message.bitfield)
            case Refused():
                self._listener.channel_refused(self, message.channel, message.code, message.reason)
            case Closed():
                self._listener.channel_refused(self, message.channel, message.code, message.reason)
            case Have() if self._state.has_channel(message.channel):
                self._listener.peer_has(self, message.channel, message.pieces)
            case Gossip() if self._state.has_channel(message.channel):
                self._listener.peers_named(self, message.channel, message.peers)
            case Reject() if rejected is not None:
                if self._sink_request == message.request_id:
                    self._drop_sink()
                self._listener.request_rejected(self, message.request_id, rejected, message.after_ms / 1000)
            case Bye():
                self.end(message.reason, "hung_up")

    # ------------------------------------------------------------ pieces

    def _begin_slice(self, arriving: Slice) -> None:
        self._slice, self._filled, self._wanted = arriving, 0, arriving.wanted
        self._slice_at_s = self._heard_at_s
        if not arriving.wanted:
            self._drop_sink()
        elif arriving.is_first:
            self._sink_channel, self._kept = arriving.channel, 0
            self._sink = self._listener.sink_for(
                self, arriving.request_id, arriving.channel, arriving.piece, arriving.begin
            )
            self._sink_request = arriving.request_id
            self._listener.granted(self, arriving.request_id, arriving.channel, arriving.piece)
        while self._decoder.body_left:
            taken = self._decoder.take_body(self._block[self._filled :])
            if not taken:
                break
            self._block_grew(taken)

    def _block_grew(self, count: int) -> None:
        self._filled += count
        if self._filled == len(self._block) or not self._decoder.body_left:
            self._flush_block()
        if not self._decoder.body_left:
            self._end_slice()

    def _flush_block(self) -> None:
        count, self._filled = self._filled, 0
        if self._sink is None or self._slice is None:
            if self._slice is not None:
                self._listener.wasted(self, self._slice.channel, count)
            return
        block = self._block[: min(count, self._wanted)]
        self._wanted -= len(block)
        self._kept += len(block)
        if count > len(block):
            self._listener.wasted(self, self._slice.channel, count - len(block))
        try:
            if block:
                self._sink.write(block)
        except OSError as error:
            self._sink = self._sink_request = None
            self._listener.write_failed(self, self._slice.channel, error)

    def _end_slice(self) -> None:
        arriving, self._slice = self._slice, None
        if arriving is not None:
            took_s = max(self._heard_at_s - self._slice_at_s, _BATCH_S / 1000)
            self._batch_bytes = min(BATCH_BYTES_MAX, int(arriving.length / took_s * _BATCH_S))
        if arriving is None or not arriving.is_last_wanted:
            return
        sink, self._sink, self._sink_request = self._sink, None, None
        if sink is None:
            return
        if arriving.is_part:
            self._listener.received_part(self, arriving.request_id, arriving.channel, sink.digest())
        else:
            self._listener.received(self, arriving.request_id, arriving.channel, arriving.piece, sink.finish())

    def _drop_sink(self) -> None:
        """What came of the piece so far was in vain."""
        if self._sink is not None and self._kept:
            self._listener.wasted(self, self._sink_channel, self._kept)
        self._sink = self._sink_request = None


async def _connect(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError."""
    connecting = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    connecting.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connecting, (host, port))
    except BaseException:
        connecting.close()
        raise
    return connecting

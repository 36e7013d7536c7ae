"""The fetching end of a link: dials a server, opens files on it, asks for pieces and receives them.

This is the protocol of the link: greeting, channels, requests, and what is said when.

Invariant (I2): after `cancel` returned, not one byte of that request reaches a sink.
Not here: the bytes of pieces (piece_receiver), what to ask for (swarm.scheduler).
"""

import asyncio
import socket
import ssl
import time
from typing import Protocol

from engine.errors import Cause, RemoteProtocolError
from engine.net.link_end import NoLink, cause_of
from engine.net.link_transport import LinkTransport
from engine.net.piece_receiver import PieceListener, PieceReceiver
from engine.net.plain_transport import PlainTransport
from engine.net.proof import Prover, thumbprint_of
from engine.net.sealed_transport import SealedTransport, shake_hands
from engine.net.tls import Identity, NotValidNow, PeerIdentity, WrongPeer, check_expected, peer_of
from engine.swarm.geometry import Geometry
from engine.wire.codec import Decoder, encode
from engine.wire.link_state import FetcherState
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


class FetchListener(PieceListener, Protocol):
    """Who is told what happens on a link. `link_down` comes exactly once, and last."""

    def link_up(self, peer: PeerIdentity) -> None: ...
    def channel_opened(self, channel: int, bitfield: bytes) -> None: ...
    def channel_refused(self, channel: int, code: str, reason: str) -> None: ...
    def peer_has(self, channel: int, pieces: tuple[int, ...], *, is_busy: bool) -> None:
        """The server gained these pieces. `is_busy`: it still owes an answer to a request."""

    def peers_named(self, channel: int, peers: tuple[Neighbour, ...]) -> None:
        """The server says that these serve the file, too."""

    def request_rejected(self, request_id: int, channel: int, after_s: float) -> None:
        """`after_s`: how long nothing else should be asked for, if the server only puts us off; else 0."""

    def link_down(self, cause: Cause, reason: str) -> None: ...


class FetchLink(asyncio.BufferedProtocol):
    """One link, connected by `dial`."""

    def __init__(
        self, listener: FetchListener, identity: Identity, thumbprint: bytes, block_bytes: int, *, is_open: bool
    ) -> None:
        """`thumbprint`: of the key that the server must hold. `is_open`: unencrypted, over plain TCP; both sides prove
        who they are by messages.
        """
        self._listener = listener
        self._thumbprint = thumbprint
        self._own_thumbprint = thumbprint_of(identity) if is_open else b""
        self._prover = Prover(identity, Role.FETCHER, thumbprint) if is_open else None
        self._their_nonce = b""
        self._decoder = Decoder()
        self._receiver = PieceReceiver(listener, self._decoder, block_bytes)
        self._state = FetcherState(needs_proof=is_open)
        self._transport: asyncio.Transport | None = None
        self._end_cause: Cause = "hung_up"
        self._end_reason = "closed by the peer"
        self._is_ended = False
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
        if self._receiver.request_id == request_id:
            self._receiver.drop()
        if self._state.cancelling(request_id):
            self._send(Cancel(request_id))

    def cut(self, request_id: int) -> int:
        """Let a request end in the middle of what is still to come; returns the byte of its piece where that is, 0 if
        it is too late. `received_part` follows once it is reached.
        """
        stop = self._state.cutting(request_id) if self._receiver.request_id == request_id else 0
        if stop:
            self._send(Cancel(request_id, stop))
        return stop

    def close_channel(self, channel: int) -> None:
        self._receiver.drop_channel(channel)
        self._state.closing(channel)
        self._send(Close(channel))

    def send_mismatch(self, channel: int, piece: int) -> None:
        """The piece does not match: tell the server, and take not one more byte on this channel."""
        self._receiver.drop_channel(channel)
        self._state.closing(channel)
        self._send(Mismatch(channel, piece))

    def is_silent(self, timeout_s: float) -> bool:
        """Whether the server owes a greeting or an answer, and nothing came for so long. Dialling has its own limit."""
        is_owed = self._transport is not None and self._state.owes_word
        return is_owed and time.monotonic() - self._heard_at_s > timeout_s

    def end(self, reason: str, cause: Cause = "ended_here") -> None:
        """Close at once, or as soon as it is connected; `link_down` follows."""
        self._end_reason, self._end_cause, self._is_ended = reason, cause, True
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._heard_at_s = transport, time.monotonic()
        if self._is_ended:  # while it was dialled
            transport.abort()
            return
        if self._prover is not None:
            self._send(Hello(PROTOCOL_VERSION, Role.FETCHER, self._prover.nonce))
            return
        try:
            peer = check_expected(peer_of(transport.get_extra_info("ssl_object")), self._thumbprint)
        except (RemoteProtocolError, WrongPeer) as error:
            self._end_for(error)
            return
        self._send(Hello(PROTOCOL_VERSION, Role.FETCHER))
        self._listener.link_up(peer)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receiver.buffer() if self._decoder.body_left else self._decoder.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self._heard_at_s = time.monotonic()
        try:
            if self._decoder.body_left:
                self._receiver.received(nbytes, self._heard_at_s)
            else:
                self._decoder.received(nbytes)
            for message in self._decoder.messages():
                self._handle(message)
            if isinstance(self._transport, LinkTransport):
                self._transport.expect(min(self._decoder.body_left, self._receiver.batch_bytes))
        except (RemoteProtocolError, WrongPeer) as error:
            self._end_for(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.drop()
        if exc is not None and self._end_cause != "broke_protocol":
            self._end_cause, self._end_reason = cause_of(exc, is_connected=True), f"connection lost: {exc}"
        self._listener.link_down(self._end_cause, self._end_reason)

    def _end_for(self, error: RemoteProtocolError | WrongPeer) -> None:
        """End the link for what the peer did. Only a breach of the protocol is to blame on it."""
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
                self._receiver.begin_slice(arriving, self._heard_at_s)
            case Hello() if self._prover is not None:
                self._their_nonce = message.nonce
                self._send(self._prover.prove(message.nonce))
            case Prove() if self._prover is not None:
                peer = self._prover.check(message, self._their_nonce, self._own_thumbprint)
                self._listener.link_up(peer)
            case Opened():
                self._listener.channel_opened(message.channel, message.bitfield)
            case Refused():
                self._listener.channel_refused(message.channel, message.code, message.reason)
            case Closed():
                self._listener.channel_refused(message.channel, message.code, message.reason)
            case Have() if self._state.has_channel(message.channel):
                self._listener.peer_has(message.channel, message.pieces, is_busy=self._state.owes_answers)
            case Gossip() if self._state.has_channel(message.channel):
                self._listener.peers_named(message.channel, message.peers)
            case Reject() if rejected is not None:
                if self._receiver.request_id == message.request_id:
                    self._receiver.drop()
                self._listener.request_rejected(message.request_id, rejected, message.after_ms / 1000)
            case Bye():
                self.end(message.reason, "hung_up")


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

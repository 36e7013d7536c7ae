"""The serving end of a link: a peer dialled, proves who it is, opens files and asks for their pieces.

This is the protocol of the link: greeting, channels, tickets, and what is said when. The gate judges every OPEN
(ticket, group, file); a channel whose ticket ran out is closed.

Invariant (I4): a channel exists only after the gate admitted its ticket, and no slice of a withdrawn file is sent.
Not here: what a ticket must say (the gate), which piece is sent and in what slices (piece_sender).
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

from engine.errors import RemoteProtocolError
from engine.net.admission import Channel, Gate, Refusal, ServedFile
from engine.net.piece_sender import PieceSender
from engine.net.proof import Prover, thumbprint_of
from engine.net.tls import Identity, PeerIdentity, peer_of
from engine.settings import Settings
from engine.swarm.bitfield import pack
from engine.swarm.upload_slots import UploadSlots
from engine.wire.codec import Decoder, encode
from engine.wire.link_state import ServerState
from engine.wire.messages import (
    GOSSIP_PEERS_MAX,
    HAVES_MAX,
    PROTOCOL_VERSION,
    REASON_LENGTH_MAX,
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
    Neighbour,
    Open,
    Opened,
    Prove,
    Refused,
    Reject,
    RejectReason,
    Renew,
    Request,
    Role,
)

_TOO_MANY = "more links than one account may have"
MISMATCH_ONCE_IN_S = 1.0
"""A link passes on one MISMATCH in so long; one that comes sooner is dropped."""

_CLOSED = "closed"
_TICKET_ENDED = "your ticket ended"


class ServeListener(Protocol):
    """Who is told what happens on a link, and says whether there may be one more. `link_lost` comes once, and last."""

    def proven(self, link: "ServeLink", peer: PeerIdentity) -> bool:
        """The peer has proven who it is; False if it may have no more links."""

    def unreadable(self, file: ServedFile, error: OSError) -> None: ...
    def mismatch_received(self, peer: PeerIdentity, file: ServedFile, piece: int) -> None:
        """The peer says that this piece, as it was sent, does not match the manifest."""

    def link_lost(self, link: "ServeLink") -> None: ...


class ServeLink(asyncio.BufferedProtocol):
    """One accepted link."""

    def __init__(
        self,
        listener: ServeListener,
        gate: Gate,
        slots: UploadSlots[PieceSender],
        settings: Settings,
        identity: Identity,
        *,
        is_open: bool,
    ) -> None:
        """`is_open`: unencrypted, over plain TCP; both sides prove who they are by messages."""
        self._listener = listener
        self._gate = gate
        self._is_open = is_open
        self._own_thumbprint = thumbprint_of(identity) if is_open else b""
        self._prover = Prover(identity, Role.SERVER) if is_open else None
        self._their_nonce = b""
        self._decoder = Decoder()
        self._state = ServerState(settings.requests_queued_per_link, settings.channels_per_link, is_open)
        self._channels: dict[int, Channel] = {}
        self._sender = PieceSender(self, slots, settings, is_open=is_open)
        self._unread_bytes_max = settings.unread_bytes_per_link
        self._transport: asyncio.Transport | None = None
        self._mismatch_at_s = -math.inf
        self._began_at_s = self._heard_at_s = time.monotonic()
        self.peer: PeerIdentity | None = None

    # ------------------------------------------------------------ what the worker orders

    def announce(self, file: ServedFile, pieces: tuple[int, ...]) -> None:
        """This client gained pieces: tell the fetcher, if it opened this file."""
        for number, channel in self._channels.items():
            if channel.file is file:
                for start in range(0, len(pieces), HAVES_MAX):
                    self._send(Have(number, pieces[start : start + HAVES_MAX]))

    def gossip(self, file: ServedFile, peers: tuple[Neighbour, ...]) -> None:
        """This client fetches the file from these peers: name the others to the fetcher, if its ticket holds."""
        others = tuple(each for each in peers if self.peer is not None and each.thumbprint != self.peer.thumbprint)
        for number, channel in self._channels.items():
            if channel.file is file and others and channel.grant.valid_until_s > time.time():
                self._send(Gossip(number, others[:GOSSIP_PEERS_MAX]))

    def withdraw(self, file: ServedFile, code: str, reason: str) -> None:
        """Close every channel of this file; not one more slice of it is sent."""
        self._close_channels(lambda channel: channel.file is file, code, reason)

    def put_out(self, group_id: str, epoch: int, reason: str) -> None:
        """Close the channels of this group that were opened with tickets from before `epoch`."""
        self._close_channels(
            lambda channel: channel.group_id == group_id and channel.grant.epoch < epoch, _CLOSED, reason
        )

    def is_idle(self, now_s: float, greeting_timeout_s: float, idle_timeout_s: float) -> bool:
        """Whether the fetcher takes too long to say who it is, or has no channel and says nothing."""
        if not self._state.is_talking:
            return now_s - self._began_at_s > greeting_timeout_s
        return not self._channels and now_s - self._heard_at_s > idle_timeout_s

    def is_stuck(self, timeout_s: float) -> bool:
        """Whether the fetcher has not taken what it was sent for so long."""
        return self._sender.reader.is_stuck(timeout_s)

    def end(self, reason: str) -> None:
        """Say why and close; bytes not yet handed to the kernel are dropped."""
        self._send(Bye(reason[:REASON_LENGTH_MAX]))
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sender.connected(transport)
        if self._prover is not None:
            self._send(Hello(PROTOCOL_VERSION, Role.SERVER, self._prover.nonce))
            return
        try:
            self.peer = peer_of(transport.get_extra_info("ssl_object"))
        except RemoteProtocolError as error:
            self.end(str(error))
            return
        if self._listener.proven(self, self.peer):
            self._send(Hello(PROTOCOL_VERSION, Role.SERVER))
        else:
            self.end(_TOO_MANY)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._decoder.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self._heard_at_s = time.monotonic()
        try:
            self._decoder.received(nbytes)
            for message in self._decoder.messages():
                self._state.received(message)
                self._handle(message)
        except RemoteProtocolError as error:
            self.end(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._sender.lost()
        self._channels.clear()
        self._listener.link_lost(self)

    def pause_writing(self) -> None:
        self._sender.reader.pause()

    def resume_writing(self) -> None:
        self._sender.go_on()

    # ------------------------------------------------------------ messages

    def _send(self, message: Message) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = encode(message)
        if self._sender.reader.count_unread(len(data)) > self._unread_bytes_max:
            self._transport.abort()  # it asks and does not read
        else:
            self._transport.write(data)

    def _handle(self, message: Message) -> None:
        match message:
            case Hello() if self._prover is not None:
                self._their_nonce = message.nonce
                self._send(self._prover.prove(message.nonce))
            case Prove() if self._prover is not None:
                self.peer = self._prover.check(message, self._their_nonce, self._own_thumbprint)
                if not self._listener.proven(self, self.peer):
                    raise RemoteProtocolError(_TOO_MANY)
            case Open():
                self._open(message)
            case Renew():
                self._renew(message)
            case Request():
                self._sender.ask(message)
            case Cancel():
                self._sender.stop(message)
            case Mismatch():
                self._receive_mismatch(message)
            case Close():
                self._channels.pop(message.channel, None)
                self._sender.cancel(lambda request: request.channel == message.channel)

    def _open(self, message: Open) -> None:
        assert self.peer is not None
        try:
            file, grant = self._gate.admit(self.peer, message, is_open=self._is_open)
        except Refusal as refusal:
            self._state.closed(message.channel)
            self._send(Refused(message.channel, refusal.code, str(refusal)[:REASON_LENGTH_MAX]))
            return
        self._channels[message.channel] = Channel(message.group_id, file, grant)
        self._state.opened(message.channel, file.geometry)
        self._send(Opened(message.channel, pack(file.have)))

    def _renew(self, message: Renew) -> None:
        assert self.peer is not None
        try:
            grant = self._gate.judge(self.peer, message.group_id, message.ticket, is_open=self._is_open)
        except Refusal:
            return  # the ticket in force goes on until it ends
        for channel in self._channels.values():
            if channel.group_id == message.group_id:
                channel.grant = grant

    def _receive_mismatch(self, message: Mismatch) -> None:
        channel, now_s = self._channels.get(message.channel), time.monotonic()
        if channel is None or channel.has_mismatch:
            return
        channel.has_mismatch = True
        self._sender.cancel(lambda request: request.channel == message.channel)
        if channel.file.have[message.piece] and now_s - self._mismatch_at_s >= MISMATCH_ONCE_IN_S:
            self._mismatch_at_s = now_s
            assert self.peer is not None
            self._listener.mismatch_received(self.peer, channel.file, message.piece)

    def _close_channels(self, is_meant: Callable[[Channel], bool], code: str, reason: str) -> None:
        for number, channel in list(self._channels.items()):
            if is_meant(channel):
                self._close_channel(number, code, reason)

    def _close_channel(self, number: int, code: str, reason: str) -> None:
        del self._channels[number]
        self._sender.cancel(lambda request: request.channel == number)
        self._state.closed(number)
        self._send(Closed(number, code, reason[:REASON_LENGTH_MAX]))

    # ------------------------------------------------------------ asked by the sender

    def channel_of(self, number: int) -> Channel | None:
        return self._channels.get(number)

    def answered(self, request_id: int) -> None:
        self._state.answered(request_id)

    def reject(self, request: Request, reason: RejectReason, after_s: float = 0.0) -> None:
        self._state.answered(request.request_id)
        after_ms = min(math.ceil(1000 * after_s), REJECT_AFTER_MS_MAX)
        self._send(Reject(request.request_id, reason, after_ms))

    def end_ticket(self, channel: int) -> None:
        self._close_channel(channel, _CLOSED, _TICKET_ENDED)

    def unreadable(self, file: ServedFile, error: OSError) -> None:
        self._listener.unreadable(file, error)

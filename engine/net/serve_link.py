"""The serving end of a link: somebody dialled us and proved to be a member; what may he have, and which piece first?

Every OPEN is judged by the gate it is given (ticket, group, file), and every request again by the clock: a link whose
ticket ran out gets nothing more. The server chooses among the candidates of a request the piece it has sent least,
which spreads a new file over a swarm faster than any choice of the receiver could, since the receiver's view is
always old.

Invariant (I1, I4): bytes leave only for a piece whose have-bit is set, on a channel whose ticket is valid now, out of a
file that is still the one that was shared.
Not here: what a ticket must say (the gate), how many links send at a time (swarm.upload_slots).
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from engine.errors import RemoteProtocolError
from engine.net.admission import Gate, Refusal, ServedFile
from engine.net.plain_transport import PlainTransport
from engine.net.proof import Prover, thumbprint_of
from engine.net.reader import Reader
from engine.net.sealed_transport import SealedTransport
from engine.net.sending import Channel, Sending
from engine.net.tls import Identity, PeerIdentity, peer_of
from engine.settings import Settings
from engine.swarm.bitfield import pack
from engine.swarm.slice_length import SHORTEST_BYTES, SliceLength
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
    Neighbour,
    Open,
    Opened,
    PieceHeader,
    Prove,
    Refused,
    Reject,
    RejectReason,
    Renew,
    Request,
    Role,
)

_TOO_MANY = "more links than one account may have"
_TICKET_ENDED = "your ticket ended"


class ServeLink(asyncio.BufferedProtocol):
    """One accepted link."""

    def __init__(
        self, gate: Gate, slots: "UploadSlots[ServeLink]", settings: Settings, identity: Identity, *, is_open: bool
    ) -> None:
        """`is_open`: plain TCP, both sides prove who they are."""
        self._gate = gate
        self._is_open = is_open
        self._own_thumbprint = thumbprint_of(identity) if is_open else b""
        self._prover = Prover(identity, Role.SERVER) if is_open else None
        self._their_nonce = b""
        self._slots = slots
        self._decoder = Decoder()
        self._state = ServerState(settings.requests_queued_per_link, settings.channels_per_link, is_open)
        self._channels: dict[int, Channel] = {}
        self._queue: deque[Request] = deque()
        self._sending: Sending | None = None
        self._has_slot = False
        self._reader = Reader(settings.slot_patience_s, self._release_slot)
        self._unread_bytes_max = settings.unread_bytes_per_link
        self._slice_length = SliceLength()
        self._slice_bytes, self._slice_at_s = 0, 0.0
        self._last: Sending | None = None
        self._is_leaving = False
        self._next_slice: asyncio.Handle | None = None
        self._transport: asyncio.Transport | None = None
        self._began_at_s = self._heard_at_s = time.monotonic()
        self.peer: PeerIdentity | None = None

    # ------------------------------------------------------------ what the worker orders

    def announce(self, file: ServedFile, pieces: tuple[int, ...]) -> None:
        """This client gained pieces: tell the fetcher, if it has this file open."""
        for number, channel in self._channels.items():
            if channel.file is file:
                for start in range(0, len(pieces), HAVES_MAX):
                    self._send(Have(number, pieces[start : start + HAVES_MAX]))

    def gossip(self, file: ServedFile, peers: tuple[Neighbour, ...]) -> None:
        """This client fetches the file from these: tell the fetcher, but not of itself, if it may have the file now."""
        others = tuple(each for each in peers if self.peer is not None and each.thumbprint != self.peer.thumbprint)
        for number, channel in self._channels.items():
            if channel.file is file and others and channel.grant.valid_until_s > time.time():
                self._send(Gossip(number, others[:GOSSIP_PEERS_MAX]))

    def withdraw(self, file: ServedFile, reason: str) -> None:
        """Close every channel of this file; not one more slice of it is sent."""
        self._close_channels(lambda channel: channel.file is file, reason)

    def put_out(self, group_id: str, epoch: int, reason: str) -> None:
        """Likewise those of this group that tickets from before `epoch` have opened."""
        self._close_channels(lambda channel: channel.group_id == group_id and channel.grant.epoch < epoch, reason)

    def is_idle(self, now_s: float, greeting_timeout_s: float, idle_timeout_s: float) -> bool:
        """Whether the fetcher takes too long to say who it is, or has nothing open and says nothing."""
        if not self._state.is_talking:
            return now_s - self._began_at_s > greeting_timeout_s
        return not self._channels and now_s - self._heard_at_s > idle_timeout_s

    def is_stuck(self, timeout_s: float) -> bool:
        """Whether the fetcher has not taken what it was sent for so long."""
        return self._reader.is_stuck(timeout_s)

    def end(self, reason: str) -> None:
        """Say why and close; bytes not yet handed to the kernel are dropped."""
        self._send(Bye(reason[:REASON_LENGTH_MAX]))
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._prover is not None:
            self._send(Hello(PROTOCOL_VERSION, Role.SERVER, self._prover.nonce))
            return
        try:
            self.peer = peer_of(transport.get_extra_info("ssl_object"))
        except RemoteProtocolError as error:
            self.end(str(error))
            return
        if self._gate.proven(self, self.peer):
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
        self._queue.clear()
        self._channels.clear()
        unsent = self._last if self._is_leaving else self._sending
        if unsent is not None:
            unsent.count_back()
        self._sending = self._last = None
        self._reader.close()
        self._release_slot()
        self._gate.link_lost(self)

    def pause_writing(self) -> None:
        self._reader.pause()

    def resume_writing(self) -> None:
        self._reader.resume()
        self._measure_pace()
        if self._is_leaving:
            self._is_leaving = False
            self._next_piece()
        elif self._has_slot:
            self._send_slice()
        else:
            self._seek_slot()

    # ------------------------------------------------------------ messages

    def _send(self, message: Message) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = encode(message)
        if self._reader.count_unread(len(data)) > self._unread_bytes_max:
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
                if not self._gate.proven(self, self.peer):
                    raise RemoteProtocolError(_TOO_MANY)
            case Open():
                self._open(message)
            case Renew():
                self._renew(message)
            case Request():
                self._queue.append(message)
                self._seek_slot()
            case Cancel():
                self._stop(message)
            case Close():
                self._channels.pop(message.channel, None)
                self._cancel(lambda request: request.channel == message.channel)

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
            grant = self._gate.renewed(self.peer, message, is_open=self._is_open)
        except Refusal:
            return  # the ticket in force goes on until it ends
        for channel in self._channels.values():
            if channel.group_id == message.group_id:
                channel.grant = grant

    def _close_channels(self, is_meant: Callable[[Channel], bool], reason: str) -> None:
        for number, channel in list(self._channels.items()):
            if is_meant(channel):
                self._close_channel(number, reason)

    def _close_channel(self, number: int, reason: str) -> None:
        del self._channels[number]
        self._cancel(lambda request: request.channel == number)
        self._state.closed(number)
        self._send(Closed(number, reason[:REASON_LENGTH_MAX]))

    def _cancel(self, is_meant: Callable[[Request], bool]) -> None:
        for request in [each for each in self._queue if is_meant(each)]:
            self._queue.remove(request)
            self._reject(request, RejectReason.CANCELLED)
        if self._sending is not None and is_meant(self._sending.request):
            self._reject(self._sending.request, RejectReason.CANCELLED)
            self._sending.count_back()
            self._sending = None
            self._next_piece()

    def _stop(self, message: Cancel) -> None:
        sending = self._sending
        if sending is not None and sending.request.request_id == message.request_id and message.at > sending.begin:
            if message.at < sending.end:
                sending.end, sending.is_cut = message.at, True
        elif self._last is not None and self._last.request.request_id == message.request_id:
            if not message.at:
                self._last.count_back()
            self._last = None
        else:
            self._cancel(lambda request: request.request_id == message.request_id)

    def _reject(self, request: Request, reason: RejectReason, after_s: float = 0.0) -> None:
        self._state.answered(request.request_id)
        after_ms = min(math.ceil(1000 * after_s), REJECT_AFTER_MS_MAX)
        self._send(Reject(request.request_id, reason, after_ms))

    # ------------------------------------------------------------ pieces

    def _seek_slot(self) -> None:
        has_work = self._queue or self._sending is not None
        if has_work and self.peer is not None and not self._reader.is_slow:
            for link in self._slots.want(self, self.peer.user_id, time.monotonic()):
                link.start_piece()

    def _release_slot(self) -> None:
        self._has_slot = False
        for link in self._slots.release(self, time.monotonic()):
            link.start_piece()

    def _next_piece(self) -> None:
        """A piece is done: the slot goes to whoever waits longest, then this link stands in line again."""
        self._release_slot()
        self._seek_slot()

    def start_piece(self) -> None:
        """The slot is ours: go on with a piece, or find the first request that can be answered."""
        self._has_slot = True
        while self._queue or self._sending is not None:
            if self._sending is None:
                self._sending = self._choose(self._queue.popleft())
            if self._sending is not None:
                # Not at once: many small pieces would nest, and a withdrawal that freed the slot may not be done yet.
                self._next_slice = asyncio.get_running_loop().call_soon(self._send_slice)
                return
        self._release_slot()

    def _choose(self, request: Request) -> Sending | None:
        channel = self._channels.get(request.channel)
        if channel is None:
            self._reject(request, RejectReason.NO_SUCH_CHANNEL)
            return None
        if channel.grant.valid_until_s <= time.time():
            self._reject(request, RejectReason.CANCELLED)
            self._close_channel(request.channel, _TICKET_ENDED)
            return None
        file, now_s = channel.file, time.monotonic()
        file.sent.goes_on(now_s)
        piece = file.sent.least(request.candidates, file.have)
        if piece is None:
            self._reject(request, RejectReason.NO_SUCH_PIECE)
            return None
        wait_s = file.sent.wait_s(piece, now_s)
        if wait_s and not request.length:  # a part belongs to the endgame, which cannot do without it
            self._reject(request, RejectReason.LATER, wait_s)
            return None
        file.sent.count(piece, now_s)
        end = request.begin + request.length if request.length else file.geometry.length_of(piece)
        return Sending(request, channel, piece, request.begin, end)

    def _send_slice(self) -> None:
        """One slice, then the other links have their turn."""
        if self._next_slice is not None:
            self._next_slice.cancel()
            self._next_slice = None
        sending = self._sending
        if sending is None or not self._has_slot or self._reader.is_paused:
            return
        if self._transport is None or self._transport.is_closing():
            return
        if sending.channel.grant.valid_until_s <= time.time():
            self._close_channel(sending.request.channel, _TICKET_ENDED)
            return
        self._measure_pace()
        # What is sealed passes this core's cache, which the shortest fits.
        length = min(self._slice_length.next_bytes if self._is_open else SHORTEST_BYTES, sending.end - sending.begin)
        file = sending.channel.file
        self._slice_bytes, self._slice_at_s = length, time.monotonic()
        file.sent.goes_on(self._slice_at_s)
        header = encode(PieceHeader(sending.request.request_id, sending.piece, sending.begin, length))
        try:
            self._put(header, file, file.geometry.offset_of(sending.piece) + sending.begin, length)
        except OSError as error:
            self._reject(sending.request, RejectReason.UNREADABLE)
            self._sending = None
            self._gate.unreadable(file, error)
            self._next_piece()
            return
        sending.begin += length
        assert self.peer is not None
        self._gate.sent(self.peer, file, length)
        if sending.begin == sending.end:
            if sending.is_cut:
                self._reject(sending.request, RejectReason.CANCELLED)
            else:
                self._state.answered(sending.request.request_id)
            self._last, self._sending = sending, None
            self._piece_handed_over()
        elif not self._reader.is_paused:
            self._next_slice = asyncio.get_running_loop().call_soon(self._send_slice)

    def _piece_handed_over(self) -> None:
        """The slot is kept until the transport is rid of it: otherwise there would be as many slots as links."""
        if self._reader.is_paused:
            self._is_leaving = True
        else:
            self._slice_bytes = 0  # what comes next says nothing about the pace
            self._next_piece()

    def _measure_pace(self) -> None:
        """The link is ready for more."""
        if self._slice_bytes:
            self._slice_length.sent(self._slice_bytes, time.monotonic() - self._slice_at_s)
            self._slice_bytes = 0
            if isinstance(self._transport, SealedTransport):  # an open link's queue is short at any pace
                self._transport.keep_queue_short(self._slice_length.is_slow)

    def _put(self, header: bytes, file: ServedFile, offset: int, length: int) -> None:
        """Header and bytes into the transport; on an open link the kernel takes them from the file. Raises OSError."""
        if isinstance(self._transport, PlainTransport):
            self._transport.write_with_file(header, file.descriptor(), offset, length)
        elif self._transport is not None:
            data = file.read(offset, length)
            self._transport.write(header)
            self._transport.write(data)

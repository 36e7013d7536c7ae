"""The sending half of a serve link: the requests that wait, the piece on its way, and the slices it is cut into.

The server chooses among the candidates of a request the piece it has sent least, which spreads a new file over a swarm
faster than a choice of the receiver could, since the receiver's view of what is rare is always old.

Invariant (I1, I4): bytes leave only for a piece whose have-bit is set, on a channel whose ticket is valid now, out of a
file that is still the one that was shared.
Not here: what is said on the link, and when (serve_link); how many links send at a time (swarm.upload_slots).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from engine.net.admission import Channel, ServedFile
from engine.net.plain_transport import PlainTransport
from engine.net.reader import Reader
from engine.net.sealed_transport import SealedTransport
from engine.net.tls import PeerIdentity
from engine.settings import Settings
from engine.swarm.slice_length import SHORTEST_BYTES, SliceLength
from engine.swarm.upload_slots import UploadSlots
from engine.wire.codec import encode
from engine.wire.messages import Cancel, PieceHeader, RejectReason, Request


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


class SenderLink(Protocol):
    """The link that requests come in on, as its sender sees it."""

    peer: PeerIdentity | None

    def channel_of(self, number: int) -> Channel | None:
        """None if the fetcher has no such channel open."""

    def answered(self, request_id: int) -> None:
        """Its last slice is about to be sent."""

    def reject(self, request: Request, reason: RejectReason, after_s: float = 0.0) -> None: ...

    def end_ticket(self, channel: int) -> None:
        """Close this channel: its ticket ran out."""

    def unreadable(self, file: ServedFile, error: OSError) -> None: ...


class PieceSender:
    """The sender of one link. It asks for an upload slot, and holds it while a piece is being sent."""

    def __init__(
        self, link: SenderLink, slots: "UploadSlots[PieceSender]", settings: Settings, *, is_open: bool
    ) -> None:
        """`is_open`: the link is not encrypted."""
        self._link = link
        self._slots = slots
        self._is_open = is_open
        self._queue: deque[Request] = deque()
        self._sending: Sending | None = None
        self._has_slot = False
        self.reader = Reader(settings.slot_patience_s, self._release_slot)
        self._slice_length = SliceLength()
        self._slice_bytes, self._slice_at_s = 0, 0.0
        self._last: Sending | None = None
        self._is_leaving = False
        self._next_slice: asyncio.Handle | None = None
        self._transport: asyncio.Transport | None = None

    def connected(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def lost(self) -> None:
        """The link is gone."""
        self._queue.clear()
        unsent = self._last if self._is_leaving else self._sending
        if unsent is not None:
            unsent.count_back()
        self._sending = self._last = None
        self.reader.close()
        self._release_slot()

    def go_on(self) -> None:
        """The transport takes bytes again."""
        self.reader.resume()
        self._measure_pace()
        if self._is_leaving:
            self._is_leaving = False
            self._next_piece()
        elif self._has_slot:
            self._send_slice()
        else:
            self.seek_slot()

    # ------------------------------------------------------------ requests

    def ask(self, request: Request) -> None:
        """A request came; it waits for its turn."""
        self._queue.append(request)
        self.seek_slot()

    def cancel(self, is_meant: Callable[[Request], bool]) -> None:
        for request in [each for each in self._queue if is_meant(each)]:
            self._queue.remove(request)
            self._link.reject(request, RejectReason.CANCELLED)
        if self._sending is not None and is_meant(self._sending.request):
            self._link.reject(self._sending.request, RejectReason.CANCELLED)
            self._sending.count_back()
            self._sending = None
            self._next_piece()

    def stop(self, message: Cancel) -> None:
        sending = self._sending
        if sending is not None and sending.request.request_id == message.request_id and message.at > sending.begin:
            if message.at < sending.end:
                sending.end, sending.is_cut = message.at, True
        elif self._last is not None and self._last.request.request_id == message.request_id:
            if not message.at:
                self._last.count_back()
            self._last = None
        else:
            self.cancel(lambda request: request.request_id == message.request_id)

    # ------------------------------------------------------------ pieces

    def seek_slot(self) -> None:
        has_work = self._queue or self._sending is not None
        if has_work and self._link.peer is not None and not self.reader.is_slow:
            for sender in self._slots.want(self, self._link.peer.user_id, time.monotonic()):
                sender.start_piece()

    def _release_slot(self) -> None:
        self._has_slot = False
        for sender in self._slots.release(self, time.monotonic()):
            sender.start_piece()

    def _next_piece(self) -> None:
        """A piece is done: the slot goes to the link that is next, and this one waits for another."""
        self._release_slot()
        self.seek_slot()

    def start_piece(self) -> None:
        """This link got a slot: go on with a piece, or find the first request that can be answered."""
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
        channel = self._link.channel_of(request.channel)
        if channel is None:
            self._link.reject(request, RejectReason.NO_SUCH_CHANNEL)
            return None
        if channel.has_mismatch:
            self._link.reject(request, RejectReason.CANCELLED)
            return None
        if channel.grant.valid_until_s <= time.time():
            self._link.reject(request, RejectReason.CANCELLED)
            self._link.end_ticket(request.channel)
            return None
        file, now_s = channel.file, time.monotonic()
        file.sent.goes_on(now_s)
        piece = file.sent.least(request.candidates, file.have)
        if piece is None:
            self._link.reject(request, RejectReason.NO_SUCH_PIECE)
            return None
        wait_s = file.sent.wait_s(piece, now_s)
        if wait_s and not request.length:  # a part belongs to the endgame, which cannot do without it
            self._link.reject(request, RejectReason.LATER, wait_s)
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
        if sending is None or not self._has_slot or self.reader.is_paused:
            return
        if self._transport is None or self._transport.is_closing():
            return
        if sending.channel.grant.valid_until_s <= time.time():
            self._link.end_ticket(sending.request.channel)
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
            self._link.reject(sending.request, RejectReason.UNREADABLE)
            self._sending = None
            self._link.unreadable(file, error)
            self._next_piece()
            return
        sending.begin += length
        if sending.begin == sending.end:
            if sending.is_cut:
                self._link.reject(sending.request, RejectReason.CANCELLED)
            else:
                self._link.answered(sending.request.request_id)
            self._last, self._sending = sending, None
            self._piece_handed_over()
        elif not self.reader.is_paused:
            self._next_slice = asyncio.get_running_loop().call_soon(self._send_slice)

    def _piece_handed_over(self) -> None:
        """The slot is kept until the transport has sent the piece: otherwise there would be as many slots as links."""
        if self.reader.is_paused:
            self._is_leaving = True
        else:
            self._slice_bytes = 0  # what comes next says nothing about the pace
            self._next_piece()

    def _measure_pace(self) -> None:
        """The transport took the last slice: how long that lasted decides how long the next one is."""
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

"""What the two transports of a link have in common: a socket driven directly, one queue out, whole blocks in.

A link transport is an asyncio transport. Those of asyncio itself are made for small messages: for TLS, every byte
passes two memory buffers, which costs more than the encryption; the plain one's sendfile waits until everything is
written, and stops reading meanwhile.

Invariant: bytes leave in the order they were queued; the protocol is paused while anything waits; `connection_lost`
comes once, from the loop, never from inside a call.
Not here: how bytes get in and out of the socket (plain_transport, sealed_transport).
"""

import asyncio
import socket
from abc import abstractmethod
from collections import deque
from typing import Generic, TypeVar

_READS_PER_TURN = 4
"""Blocks received before other links have their turn."""
_LOW_WATER_MIN = 4 << 10
"""To wait for fewer bytes than this is not worth the system call that asks for it."""

Part = TypeVar("Part")
"""Something in the queue out."""


class LinkTransport(asyncio.Transport, Generic[Part]):
    """Takes a connected, non-blocking socket over, and calls `connection_made` of the protocol."""

    _held_bytes_max = 0
    """How much may have been taken from the socket that the protocol has not got."""

    def __init__(
        self, connected: socket.socket, protocol: asyncio.BufferedProtocol, extra: dict[str, object] | None = None
    ) -> None:
        super().__init__({"socket": connected, **(extra or {})})
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._protocol = protocol
        self._queue: deque[Part] = deque()
        self._is_closing = False
        self._low_water = 1
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connected, self._read)
        protocol.connection_made(self)

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        self._end(None)

    def expect(self, count: int) -> None:
        """So many bytes are known to come: the loop need not wake this link for a few of them. 0: wake it for any."""
        low_water = count - self._held_bytes_max
        if low_water < _LOW_WATER_MIN:
            low_water = 1
        if low_water != self._low_water and not self._is_closing:
            self._low_water = low_water
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_water)

    # ------------------------------------------------------------ what the two do differently

    @abstractmethod
    def _receive(self, buffer: memoryview) -> int:
        """Fill the buffer with what is there; 0 at the end. Raises BlockingIOError if nothing is there, or OSError."""

    @abstractmethod
    def _transmit(self, part: Part) -> Part | None:
        """Hand a part to the socket; returns what is left of it, or None. Raises BlockingIOError, or OSError."""

    @abstractmethod
    def _drop(self, part: Part) -> None:
        """The part leaves the queue, sent or not."""

    def _holds_more(self) -> bool:
        """Whether bytes were taken from the socket that the protocol has not got."""
        return False

    # ------------------------------------------------------------ inside

    def _put(self, *parts: Part) -> None:
        is_idle = not self._queue
        self._queue.extend(parts)
        if self._is_closing:
            self._drop_queue()
        elif is_idle and not self._send():
            self._loop.add_writer(self._socket, self._write_more)
            self._protocol.pause_writing()

    def _write_more(self) -> None:
        if self._send() and not self._is_closing:
            self._loop.remove_writer(self._socket)
            self._protocol.resume_writing()

    def _send(self) -> bool:
        """As much as the socket takes; whether that was all."""
        try:
            while self._queue:
                rest = self._transmit(self._queue[0])
                if rest is not None:
                    self._queue[0] = rest
                else:
                    self._drop(self._queue.popleft())
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(error)
        return True

    def _read(self) -> None:
        try:
            for _ in range(_READS_PER_TURN):
                if self._is_closing:
                    return
                buffer = memoryview(self._protocol.get_buffer(-1))
                count = self._receive(buffer)
                if not count:
                    self._end(None)
                    return
                self._protocol.buffer_updated(count)
                if count < len(buffer):
                    break  # that was all there is: asking again would only raise
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if self._holds_more():
            self._loop.call_soon(self._read)

    def _end(self, error: Exception | None) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._drop_queue()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._loop.call_soon(self._finish, error)

    def _drop_queue(self) -> None:
        for part in self._queue:
            self._drop(part)
        self._queue.clear()

    def _finish(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        self._socket.close()

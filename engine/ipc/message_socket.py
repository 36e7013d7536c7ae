"""Messages with file descriptors between two processes of this client, over a Unix socket.

Messages are length-prefixed msgpack. They are written at once, or with the next one if they may wait, and read in
batches: one wake-up delivers everything that came. A descriptor is attached to the first byte of its message, so it is
there when the message is.

Invariant: messages arrive in order or not at all; `on_closed` comes once, after the last of them. Both ends are this
program, so a malformed message is a bug, not an attack.
"""

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from engine.ipc.orders import Order
from engine.ipc.reports import Report

Incoming = TypeVar("Incoming", bound=Order | Report)

_LENGTH_BYTES = 4
_READ_BYTES = 64 << 10
"""Python takes this much memory for every read; from 128 KiB on the C library maps it anew each time, which is slow."""
_DESCRIPTORS_MAX = 64
LINGER_S = 0.02
"""How long a message that is not urgent may wait for the next one: half of what a small piece takes at 50 Mbit/s."""


class MessageSocket(Generic[Incoming]):
    """One end of the connection between the coordinator and a worker. It takes the socket over."""

    def __init__(
        self,
        connected: socket.socket,
        incoming_type: object,
        on_message: Callable[[Incoming, list[int]], None],
        on_closed: Callable[[], None],
    ) -> None:
        """`on_message` has to close the descriptors it is given."""
        self._socket = connected
        self._socket.setblocking(False)
        self._decoder: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(incoming_type)
        self._encoder = msgspec.msgpack.Encoder()
        self._on_message = on_message
        self._on_closed = on_closed
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._unsent: deque[tuple[memoryview, list[int]]] = deque()
        self._lingering = bytearray()
        self._lingers_until: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def send(self, message: Order | Report, descriptors: Sequence[int] = ()) -> None:
        """Send it now. The descriptors stay the caller's: the message goes with duplicates, since it may wait."""
        if self._is_closed:
            return
        frame, self._lingering = self._lingering + self._frame(message), bytearray()
        self._queue(frame, [os.dup(descriptor) for descriptor in descriptors])

    def send_soon(self, message: Order | Report) -> None:
        """Send it with the next message, or after LINGER_S: the other process is not woken for this one alone."""
        if not self._is_closed:
            self._lingering += self._frame(message)
            self._lingers_until = self._lingers_until or self._loop.call_later(LINGER_S, self._send_lingering)

    def _send_lingering(self) -> None:
        self._lingers_until = None
        if self._lingering:
            frame, self._lingering = self._lingering, bytearray()
            self._queue(frame, [])

    def _queue(self, frame: bytearray, descriptors: list[int]) -> None:
        self._unsent.append((memoryview(frame), descriptors))
        if len(self._unsent) == 1:
            self._write()

    def _frame(self, message: Order | Report) -> bytes:
        payload = self._encoder.encode(message)
        return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if self._lingers_until is not None:
                self._lingers_until.cancel()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            for descriptor in [*self._descriptors, *(each for _, copies in self._unsent for each in copies)]:
                os.close(descriptor)
            self._unsent.clear()

    def _write(self) -> None:
        try:
            while self._unsent:
                frame, descriptors = self._unsent[0]
                if descriptors:
                    sent = socket.send_fds(self._socket, [frame], descriptors)
                    for descriptor in descriptors:
                        os.close(descriptor)
                else:
                    sent = self._socket.send(frame)
                self._unsent[0] = (frame[sent:], [])
                if sent == len(frame):
                    self._unsent.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._write)
        except OSError:
            self._loop.remove_writer(self._socket)  # the reader sees the end, in order
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_READ_BYTES, socket.CMSG_SPACE(_DESCRIPTORS_MAX * 4))
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors.extend(array.array("i", content))
        if not data:
            self.close()
            self._on_closed()
            return
        self._received += data
        self._deliver()

    def _deliver(self) -> None:
        begin, view = 0, memoryview(self._received)
        messages: list[Incoming] = []
        while len(view) - begin >= _LENGTH_BYTES:
            end = begin + _LENGTH_BYTES + int.from_bytes(view[begin : begin + _LENGTH_BYTES], "big")
            if end > len(view):
                break
            messages.append(self._decoder.decode(view[begin + _LENGTH_BYTES : end]))
            begin = end
        view.release()
        del self._received[:begin]
        for message in messages:
            descriptors = [self._descriptors.popleft() for _ in range(message.descriptor_count)]
            self._on_message(message, descriptors)

"""The transport of an open link: a socket driven directly, so that a file goes out by sendfile(2).

It does what a protocol of asyncio expects of a transport, and sends files beside bytes, in one queue. The stock
transport cannot mix the two: its sendfile waits until everything is written, and stops reading meanwhile.

Invariant: bytes leave in the order they were queued; `connection_lost` comes once, from the loop, never from inside a
call.
"""

import asyncio
import os
import socket
from collections import deque

_READS_PER_TURN = 4
"""Blocks received before other links have their turn."""


class PlainTransport(asyncio.Transport):
    """Takes the connected, non-blocking socket over and tells the protocol that it is there."""

    def __init__(self, connected: socket.socket, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__({"socket": connected})
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._protocol = protocol
        self._queue: deque[bytes | tuple[int, int, int]] = deque()
        self._is_closing = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connected, self._read)
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._put(bytes(data))

    def write_with_file(self, head: bytes, descriptor: int, offset: int, count: int) -> None:
        """`head`, then a range of an open file, which may be closed at once."""
        # With a number of its own: the caller's could name another file by the time this part is sent.
        self._put(head, (os.dup(descriptor), offset, count))

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        self._end(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """One limit only: anything that has to wait pauses the protocol."""

    # ------------------------------------------------------------ inside

    def _put(self, *parts: bytes | tuple[int, int, int]) -> None:
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
                part = self._queue[0]
                if isinstance(part, bytes):
                    # More follows a piece's header at once: one packet instead of two.
                    sent = self._socket.send(part, socket.MSG_MORE if len(self._queue) > 1 else 0)
                    rest: bytes | tuple[int, int, int] = part[sent:]
                    is_done = sent == len(part)
                else:
                    descriptor, offset, count = part
                    sent = os.sendfile(self._socket.fileno(), descriptor, offset, count)
                    if not sent:
                        raise OSError("the file became shorter while it was sent")
                    rest, is_done = (descriptor, offset + sent, count - sent), sent == count
                if is_done:
                    self._queue.popleft()
                    if not isinstance(part, bytes):
                        os.close(part[0])
                else:
                    self._queue[0] = rest
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(error)
        return True

    def _read(self) -> None:
        try:
            for _ in range(_READS_PER_TURN):
                count = self._socket.recv_into(self._protocol.get_buffer(-1))
                if not count:
                    self._end(None)
                    return
                self._protocol.buffer_updated(count)
                if self._is_closing:
                    return
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error)

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
            if not isinstance(part, bytes):
                os.close(part[0])
        self._queue.clear()

    def _finish(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        self._socket.close()

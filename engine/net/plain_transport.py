"""The transport of an open link: files leave beside bytes, by sendfile(2), in one queue.

Not for: anything secret; the bytes are on the wire as they are.
"""

import asyncio
import os
import socket

from engine.net.link_transport import LinkTransport

_UNSENT_BYTES = 128 << 10
"""How much the system takes beyond what the path can carry now. What is in its buffer cannot be cancelled any more, and
on one machine a short queue stays in the cache. (Sealed links have such a limit only while they are slow: there each
record of 16 KiB is a call, and waiting for room after every few of them costs much CPU.)"""

_FileRange = tuple[int, int, int]
"""Descriptor, which is ours, offset, count."""


class PlainTransport(LinkTransport[bytes | _FileRange]):
    """See link_transport for what is promised."""

    def __init__(self, connected: socket.socket, protocol: asyncio.BufferedProtocol) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        super().__init__(connected, protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._put(bytes(data))

    def write_with_file(self, head: bytes, descriptor: int, offset: int, count: int) -> None:
        """`head`, then a range of a file, whose descriptor the caller may close at once."""
        # With a number of its own: the caller's could name another file by the time this part is sent.
        self._put(head, (os.dup(descriptor), offset, count))

    def _receive(self, buffer: memoryview) -> int:
        return self._socket.recv_into(buffer)

    def _transmit(self, part: bytes | _FileRange) -> bytes | _FileRange | None:
        if isinstance(part, bytes):
            # More follows a piece's header at once: one packet instead of two.
            sent = self._socket.send(part, socket.MSG_MORE if len(self._queue) > 1 else 0)
            return part[sent:] or None
        descriptor, offset, count = part
        sent = os.sendfile(self._socket.fileno(), descriptor, offset, count)
        if not sent:
            raise OSError("the file became shorter while it was sent")
        return (descriptor, offset + sent, count - sent) if sent < count else None

    def _drop(self, part: bytes | _FileRange) -> None:
        if not isinstance(part, bytes):
            os.close(part[0])

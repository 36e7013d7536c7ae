"""The transport of a sealed link: TLS straight between the socket and the caller's memory.

OpenSSL reads a record (16 KiB at most) into a buffer that stays in the core's cache and decrypts it into the block of
the link; a slice is encrypted from where it lies. No byte passes a memory buffer between TLS and socket.

Not here: who may be at the other end (tls).
"""

import asyncio
import socket
import ssl

from engine.net.link_transport import LinkTransport
from engine.net.readiness import until_readable, until_writable
from engine.net.tls import MEMBER_NAME

_UNSENT_BYTES = 96 << 10
"""How much the system takes of a slow link's bytes beyond what the path carries. With less, the wake-ups would cost
more than is saved by cancelling in time."""


class SealedTransport(LinkTransport[bytes | memoryview]):
    """Over a socket that has shaken hands; see link_transport for what is promised."""

    _held_bytes_max = 17 << 10  # a record, in OpenSSL's buffer until all of it is there

    def __init__(self, secured: ssl.SSLSocket, protocol: asyncio.BufferedProtocol) -> None:
        self._tls = secured  # first: the protocol may write as soon as it hears of its transport
        self._is_short = False
        self.keep_queue_short(True)
        super().__init__(secured, protocol, {"ssl_object": secured})

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """A view is kept, not copied, until it is sent."""
        self._put(bytes(data) if isinstance(data, bytearray) else data)

    def keep_queue_short(self, is_short: bool) -> None:
        """Whether the system should take little beyond what the path carries; it wakes us up more often then."""
        if is_short != self._is_short:
            self._is_short = is_short
            unsent_bytes = _UNSENT_BYTES if is_short else 0
            self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, unsent_bytes)

    def _receive(self, buffer: memoryview) -> int:
        count = 0
        try:
            while count < len(buffer):
                taken = self._tls.recv_into(buffer[count:])
                if not taken:
                    break
                count += taken
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not count:
                raise BlockingIOError from None
        return count

    def _transmit(self, part: bytes | memoryview) -> bytes | memoryview | None:
        try:
            sent = self._tls.send(part)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            # Part of it may be on its way; OpenSSL wants the same bytes again and goes on where it was.
            raise BlockingIOError from None
        return part[sent:] if sent < len(part) else None

    def _drop(self, part: bytes | memoryview) -> None:
        """Nothing to release."""

    def _holds_more(self) -> bool:
        return not self._is_closing and self._tls.pending() > 0


async def shake_hands(connected: socket.socket, context: ssl.SSLContext, *, dialled: bool) -> ssl.SSLSocket:
    """The socket, taken over, once both sides are satisfied; closed otherwise. Raises OSError (ssl.SSLError is one)."""
    secured = context.wrap_socket(
        connected,
        server_side=not dialled,
        server_hostname=MEMBER_NAME if dialled else None,
        do_handshake_on_connect=False,
    )
    try:
        while True:
            try:
                secured.do_handshake()
                return secured
            except ssl.SSLWantReadError:
                await until_readable(secured)
            except ssl.SSLWantWriteError:
                await until_writable(secured)
    except BaseException:
        secured.close()
        raise

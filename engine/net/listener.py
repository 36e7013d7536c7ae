"""The socket that other clients dial, and the look at the first byte of a connection.

The client's process accepts every connection and hands it to a worker, so that the workers get equal shares. If they
accepted by themselves, two links of one peer would often be at the same worker.

Not here: TLS and what follows it (worker.serve_side).
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable

from engine.errors import LocalError
from engine.net.dial_limit import DialLimit
from engine.net.readiness import until_readable

_BACKLOG = 128
_PAUSE_WITHOUT_DESCRIPTORS_S = 0.5
_RECORD_HEADER_BYTES = 5
_RECORD_BYTES_MAX = 1 << 14
_HANDSHAKE_RECORD = 22
"""RFC 8446, 5.1. An open link's HELLO begins with another byte, and is no shorter than that header."""


class Listener:
    """Listens from its making until `close`. `on_connection` has to close each accepted socket."""

    def __init__(
        self, host: str, port: int, on_connection: Callable[[socket.socket], None], dial_limit: DialLimit
    ) -> None:
        """Raises LocalError if the address cannot be listened on."""
        self._on_connection, self._dial_limit = on_connection, dial_limit
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise LocalError(_sentence(host, port, error), "address_taken") from error
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        try:
            connected, address = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # The connection stays in the queue, so without a pause this would be called at once, for ever.
                self._loop.remove_reader(self._socket)
                self._loop.call_later(_PAUSE_WITHOUT_DESCRIPTORS_S, self._resume)
            return
        if not self._dial_limit.may_enter(str(address[0]), time.monotonic()):
            connected.close()
            return
        connected.setblocking(False)
        self._on_connection(connected)

    def _resume(self) -> None:
        if self._socket.fileno() != -1:
            self._loop.add_reader(self._socket, self._accept)


async def first_byte(connected: socket.socket) -> int:
    """The first byte of a connection, once TLS's first message is here as a whole: a handshake takes memory, and a peer
    that sends its message byte by byte gets none. Nothing is taken from the socket. Raises OSError, also at its end.
    """
    header = await _peek(connected, _RECORD_HEADER_BYTES)
    if header[0] == _HANDSHAKE_RECORD:
        length = int.from_bytes(header[3:])
        if length > _RECORD_BYTES_MAX:
            raise ConnectionAbortedError(errno.ECONNABORTED, "not TLS")
        await _peek(connected, _RECORD_HEADER_BYTES + length)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return header[0]


async def _peek(connected: socket.socket, count: int) -> bytes:
    """The first bytes, left in the socket. The system wakes this task once, when all of them are there."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
    await until_readable(connected)
    begin = connected.recv(count, socket.MSG_PEEK)
    if len(begin) < count:
        raise ConnectionResetError(errno.ECONNRESET, "closed in the middle of its first message")
    return begin


def _sentence(host: str, port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is in use by another program; choose another port"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"cannot listen on {host}:{port}: {reason}"

"""The tracker's listening sockets: accept a connection, check the connection limits, and only then begin TLS.

asyncio's own server begins the handshake before a connection can be refused; here a flood costs an accept and a close.
TLS and its buffers begin when the whole first message of the client has come, so a client that sends nothing, or a byte
a second, costs a socket and no more.

Invariant: every accepted connection is released again, however it ends.
Not here: the limits (rules.connection_limits), what is said over a connection (server).
"""

import asyncio
import asyncio.sslproto
import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

from tracker.rules.connection_limits import AcceptedConnection, ConnectionLimits
from tracker.settings import HANDSHAKE_TIMEOUT_S

_BACKLOG = 512
_PAUSE_WITHOUT_DESCRIPTORS_S = 0.2
_TLS_BUFFER_BYTES = 32 << 10
"""Of each connection, as long as it lasts. asyncio takes eight times as much: a gigabyte for 4096 connections."""
_RECORD_HEADER_BYTES = 5
_RECORD_BYTES_MAX = 1 << 14
_HANDSHAKE_RECORD = 22

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str, Callable[[], None]], Awaitable[None]]
"""(reader, writer, the other side's address, what to call once it has logged in); it returns when the connection is
over.
"""


class TlsListener:
    def __init__(self, tls: ssl.SSLContext, serve: Serve) -> None:
        self._tls = tls
        self._serve = serve
        self._limits = ConnectionLimits()
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> int:
        """Listens on every address the host name has; returns the port of the first. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                self._sockets.append(_listening(family, address))
        except OSError:
            self._close_sockets()
            raise
        for each in self._sockets:
            self._loop.add_reader(each, self._accept, each)
        listening_port: int = self._sockets[0].getsockname()[1]
        return listening_port

    async def close(self) -> None:
        """Ends every connection too."""
        for each in self._sockets:
            self._loop.remove_reader(each)
        self._close_sockets()
        await asyncio.sleep(0)  # a task that never ran would not close its socket
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        try:
            client, address = listening.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # It stays in the queue, so without a pause this would be called at once, for ever.
                self._loop.remove_reader(listening)
                self._loop.call_later(_PAUSE_WITHOUT_DESCRIPTORS_S, self._resume, listening)
            return
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = AcceptedConnection(str(address[0]), lambda: None)
        if not self._limits.admit(connection, time.monotonic()):
            client.close()
            return
        task = self._loop.create_task(self._receive(client, connection))
        # `_cut` waits a turn for the same reason as `close`.
        connection.cut = lambda: self._cut(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, client: socket.socket, connection: AcceptedConnection) -> None:
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self._hear_hello(client)
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol,
                client,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                ssl_shutdown_timeout=HANDSHAKE_TIMEOUT_S,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            await self._serve(reader, writer, connection.host, lambda: self._limits.mark_logged_in(connection))
        except (OSError, TimeoutError):
            pass  # It never spoke TLS, or went away: nobody is left to be told.
        finally:
            self._limits.release(connection)
            if transport is not None:
                transport.abort()
            else:
                client.close()

    async def _hear_hello(self, client: socket.socket) -> None:
        """Waits for the whole first message and leaves it unread. Raises OSError if it is not one of TLS."""
        header = await self._peek(client, _RECORD_HEADER_BYTES)
        length = int.from_bytes(header[3:])
        if header[:1] != bytes([_HANDSHAKE_RECORD]) or length > _RECORD_BYTES_MAX:
            raise ConnectionAbortedError(errno.ECONNABORTED, "not TLS")
        await self._peek(client, _RECORD_HEADER_BYTES + length)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    async def _peek(self, client: socket.socket, count: int) -> bytes:
        """The next bytes, left unread. The system wakes this task once, when so many have come."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(client, _tell, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(client)
        begin = client.recv(count, socket.MSG_PEEK)
        if len(begin) < count:
            raise ConnectionResetError(errno.ECONNRESET, "closed in the middle of its first message")
        return begin

    def _cut(self, task: "asyncio.Task[None]") -> None:
        self._loop.call_soon(task.cancel)

    def _resume(self, listening: socket.socket) -> None:
        if listening.fileno() != -1:
            self._loop.add_reader(listening, self._accept, listening)

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()


def _tell(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening

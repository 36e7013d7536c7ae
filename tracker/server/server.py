"""The tracker's connections: frames in, to the service, and replies and events out.

Invariants. A stranger holds at most a small frame, for a short time, on one of a bounded number of connections. The
requests of a connection are answered in order, and the next is not read before the last reply was taken. Only
publications that follow each other are taken together, as many as have come already. What a client has not read is
bounded; beyond that its connection is cut. An error in one connection ends that connection alone, and its inside is
never shown.

Not here: accepting connections (listener), what a request does (service).
"""

import asyncio
import contextlib
import logging
import secrets
import ssl
import tempfile
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from tracker.protocol import framing, requests
from tracker.protocol.authority import Authority, issue_tracker
from tracker.protocol.events import Bulletin, Event, Welcome
from tracker.protocol.framing import FRAME_BYTES_MAX_MEMBER, FRAME_BYTES_MAX_STRANGER, ProtocolError
from tracker.protocol.manifests import Publish
from tracker.protocol.results import Refused, Reply, Result
from tracker.server.listener import TlsListener
from tracker.service.dispatch import Service
from tracker.service.live_sessions import Connection
from tracker.settings import (
    FRAME_TIMEOUT_S,
    PRESENCE_TTL_S,
    PUBLISHES_TOGETHER_MAX,
    STRANGER_IDLE_S,
    SWEEP_S,
    UNREAD_BYTES_MAX,
)

_log = logging.getLogger("tracker")


class TrackerServer:
    def __init__(self, service: Service, authority: Authority, now_s: float) -> None:
        self._service = service
        self._authority_pem = authority.pem
        self._connections: set[_Connection] = set()
        self._listener = TlsListener(_server_tls(authority, now_s), self._receive)
        self._chores: list[asyncio.Task[None]] = []

    async def start(self, host: str, port: int) -> int:
        """Listens, and returns the port, which the system chooses if `port` is 0. Raises OSError."""
        await self._service.catch_up()
        listening_port = await self._listener.open(host, port)
        self._chores = [asyncio.create_task(self._sweep()), asyncio.create_task(self._service.follow_news())]
        return listening_port

    async def close(self) -> None:
        """Ends every connection. What was acknowledged is in the store already."""
        for task in self._chores:
            task.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._listener.close()

    async def _receive(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, logged_in: Callable[[], None]
    ) -> None:
        connection = _Connection(self._service, reader, writer, host, logged_in)
        self._connections.add(connection)
        try:
            await connection.serve(self._authority_pem)
        finally:
            self._connections.discard(connection)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._service.sweep()
            for connection in list(self._connections):
                connection.close_if_forgotten()


class _Connection:
    """One client, from its handshake to its end."""

    def __init__(
        self,
        service: Service,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        host: str,
        logged_in: Callable[[], None],
    ) -> None:
        self._logged_in = logged_in
        self._service = service
        self._reader = reader
        self._writer = writer
        self._connection = Connection(secrets.token_bytes(32), host, self._push)
        self._header = b""
        """Of a frame whose rest has not come yet."""
        self._left_over: bytes | None = None
        """A frame that was read and not answered yet."""

    async def serve(self, authority_pem: bytes) -> None:
        try:
            await self._send(Welcome(requests.VERSION, self._connection.nonce, authority_pem))
            while await self._serve_next():
                pass
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise
        except (OSError, EOFError, TimeoutError, ssl.SSLError):
            pass  # The client is gone, or silent for too long: nobody is left to be told.
        finally:
            self._service.hang_up(self._connection)
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
                await self._writer.wait_closed()

    def close_if_forgotten(self) -> None:
        if self._service.is_forgotten(self._connection):
            self._writer.transport.abort()

    async def _serve_next(self) -> bool:
        """Answers the next request, or several. False if the connection is of no further use."""
        try:
            payload = await self._read_frame()
        except ProtocolError as error:
            _log.info("%s: %s", self._connection.observed_host, error)
            return False
        try:
            calls = [framing.decode_call(payload)]
        except ProtocolError as error:
            seq = framing.decode_seq(payload)
            if seq is not None:
                await self._send(Reply(seq, Refused("bad_request", str(error))))
            return False
        while isinstance(calls[-1].request, Publish) and len(calls) < PUBLISHES_TOGETHER_MAX:
            following = await self._publish_at_hand()
            if following is None:
                break
            calls.append(following)
        # They get their turns in this order, and wait for the disk together.
        for call, result in zip(calls, await asyncio.gather(*map(self._answer, calls)), strict=True):
            await self._send(Reply(call.seq, result))
        if self._connection.session is not None:
            self._logged_in()
        return True

    async def _publish_at_hand(self) -> requests.Call | None:
        """The next request, if the whole of it has come and it is a publication. Otherwise it is left for later."""
        try:
            async with asyncio.timeout(0):
                self._left_over = await self._read_rest(FRAME_BYTES_MAX_STRANGER)
            call = framing.decode_call(self._left_over)
        except (ProtocolError, TimeoutError, EOFError):
            return None
        if not isinstance(call.request, Publish):
            return None
        self._left_over = None
        return call

    async def _answer(self, call: requests.Call) -> Result:
        try:
            return await self._service.answer(self._connection, call)
        except SQLAlchemyError as error:
            _log.error("the database failed: %s", getattr(error, "orig", None) or type(error).__name__)
            return Refused("internal", "the tracker's database failed; its log says how")
        except Exception:
            _log.exception("a bug in answering %s", type(call.request).__name__)
            return Refused("internal", "the tracker failed at this request; its log says how")

    async def _read_frame(self) -> bytes:
        if self._left_over is not None:
            payload, self._left_over = self._left_over, None
            return payload
        is_stranger = self._connection.session is None
        limit = FRAME_BYTES_MAX_STRANGER if is_stranger else FRAME_BYTES_MAX_MEMBER
        if not self._header:
            async with asyncio.timeout(STRANGER_IDLE_S if is_stranger else PRESENCE_TTL_S):
                self._header = await self._reader.readexactly(framing.FRAME_HEADER_BYTES)
        async with asyncio.timeout(FRAME_TIMEOUT_S):
            return await self._read_rest(limit)

    async def _read_rest(self, limit: int) -> bytes:
        """The rest of a frame, or all of it if its header was not read yet. Nothing is lost when it is cancelled."""
        if not self._header:
            self._header = await self._reader.readexactly(framing.FRAME_HEADER_BYTES)
        payload = await self._reader.readexactly(framing.frame_length(self._header, limit))
        self._header = b""
        return payload

    async def _send(self, message: Welcome | Reply) -> None:
        self._writer.write(framing.encode_frame(message))
        async with asyncio.timeout(FRAME_TIMEOUT_S):
            await self._writer.drain()

    def _push(self, event: Event | Bulletin) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            transport.abort()
        else:
            self._writer.write(framing.encode_frame(event))


def _server_tls(authority: Authority, now_s: float) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    key_pem, chain_pem = issue_tracker(authority, now_s)
    # ssl reads certificates from files only; this one is private (0600) and gone when the block ends.
    with tempfile.NamedTemporaryFile() as file:
        file.write(key_pem + chain_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context

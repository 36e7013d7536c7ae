"""One connection of a client to one tracker: calls out, replies and events in.

Invariant: nothing is sent before TLS proved that the other side is a tracker certified by the pinned authority.
`fetch_authority` is the one exception, for the first contact: it verifies nothing, and so it sends nothing either.

Not here: connecting again and resuming the session (known_tracker), choosing a tracker (client).
"""

import asyncio
import secrets
import ssl
from collections.abc import Callable

from tracker.client.errors import TrackerLost, UntrustedTracker
from tracker.protocol import framing, requests, results
from tracker.protocol.addresses import TrackerAddress, authority_in, fingerprint_of
from tracker.protocol.authority import TRACKER_ROLE
from tracker.protocol.events import Bulletin, Event, Welcome
from tracker.protocol.framing import ProtocolError
from tracker.protocol.requests import Call, Request
from tracker.protocol.results import Reply, Result
from tracker.settings import CALL_TIMEOUT_S

_GONE = (OSError, EOFError, TimeoutError, ssl.SSLError, ProtocolError)
_OF_ANOTHER_TIME = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED. TLS says so only of a certificate of the trusted authority."""


async def fetch_authority(address: TrackerAddress, timeout_s: float) -> bytes:
    """The authority (certificate PEM) that a tracker claims to belong to, for a person or a pinned fingerprint to
    confirm.
    """
    tls = _client_tls()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
            try:
                pem = authority_in((await _read_welcome(reader)).authority_pem)
                tls.load_verify_locations(cadata=pem.decode("ascii"))  # what TLS cannot read must not be kept
                return pem
            finally:
                writer.transport.abort()
    except _GONE as error:
        raise _lost(address, error) from error


class TrackerConnection:
    """Made by `open`. `nonce` is what a login or a resumption on this connection signs."""

    def __init__(
        self,
        address: TrackerAddress,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        nonce: bytes,
        on_event: Callable[[Event | Bulletin], None],
        on_closed: Callable[[str], None],
    ) -> None:
        self.address = address
        self.nonce = nonce
        self._reader, self._writer = streams
        self._on_event = on_event
        self._on_closed = on_closed
        self._waiting: dict[int, asyncio.Future[Result]] = {}
        self._next_seq = 0
        self._end: TrackerLost | None = None
        self._reading = asyncio.create_task(self._read_messages())

    @classmethod
    async def open(
        cls,
        address: TrackerAddress,
        authority_pem: bytes,
        on_event: Callable[[Event | Bulletin], None],
        on_closed: Callable[[str], None],
        timeout_s: float,
    ) -> "TrackerConnection":
        """Raises TrackerLost or UntrustedTracker. `on_closed` is told the reason, once, when the connection is over."""
        tls = _client_tls()
        try:
            tls.load_verify_locations(cadata=authority_pem.decode("ascii"))
            async with asyncio.timeout(timeout_s):
                streams = await asyncio.open_connection(
                    address.host, address.port, ssl=tls, server_hostname=TRACKER_ROLE
                )
                try:
                    welcome = await _read_welcome(streams[0])
                except BaseException:
                    streams[1].transport.abort()
                    raise
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in _OF_ANOTHER_TIME:
                raise TrackerLost(
                    f"the certificate of the tracker at {address} is not valid now by this machine's clock; that clock "
                    "or the tracker's is wrong"
                ) from None
            presented = await _presented_fingerprint(address, timeout_s)
            raise UntrustedTracker(address, fingerprint_of(authority_pem), presented) from None
        except _GONE as error:
            raise _lost(address, error) from error
        return cls(address, streams, welcome.nonce, on_event, on_closed)

    @property
    def is_closed(self) -> bool:
        return self._end is not None

    @property
    def is_busy(self) -> bool:
        """Whether a call waits for its answer, which will be a sign of life."""
        return bool(self._waiting)

    async def call(
        self, request: Request, request_id: bytes | None = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> Result:
        """Returns the answer, which may be a refusal. It is written before the first await, so calls keep their order.

        A retry on another connection passes the `request_id` of the first try. Raises TrackerLost.
        """
        if self._end is not None:
            raise self._end
        seq = self._next_seq
        self._next_seq = (seq + 1) % 2**32
        frame = framing.encode_frame(Call(seq, request_id or secrets.token_bytes(16), request))
        answer = self._waiting[seq] = asyncio.get_running_loop().create_future()
        self._writer.write(frame)
        try:
            async with asyncio.timeout(timeout_s):
                result: Result = await answer
                return result
        except TimeoutError as error:
            lost = TrackerLost(f"the tracker at {self.address} did not answer within {timeout_s:g} s")
            self._finish(lost)
            raise lost from error
        finally:
            self._waiting.pop(seq, None)

    async def close(self) -> None:
        self._finish(TrackerLost(f"the connection to the tracker at {self.address} was closed"))
        await asyncio.wait([self._reading])

    async def _read_messages(self) -> None:
        try:
            while True:
                self._take(await _read_message(self._reader))
        except _GONE as error:
            self._finish(_lost(self.address, error))
        finally:
            self._finish(TrackerLost(f"the connection to the tracker at {self.address} is gone"))

    def _take(self, message: results.FromTracker) -> None:
        if isinstance(message, Reply):
            # A reply nobody waits for belongs to a call that was cancelled.
            waiting = self._waiting.get(message.seq)
            if waiting is not None and not waiting.done():
                waiting.set_result(message.result)
        elif isinstance(message, Welcome):
            raise ProtocolError("a second welcome")
        else:
            self._on_event(message)

    def _finish(self, reason: TrackerLost) -> None:
        if self._end is not None:
            return
        self._end = reason
        self._reading.cancel()
        self._writer.transport.abort()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(reason)
        self._on_closed(str(reason))


async def _read_message(reader: asyncio.StreamReader) -> results.FromTracker:
    header = await reader.readexactly(framing.FRAME_HEADER_BYTES)
    length = framing.frame_length(header, framing.FRAME_BYTES_MAX_REPLY)
    return framing.decode_from_tracker(await reader.readexactly(length))


async def _read_welcome(reader: asyncio.StreamReader) -> Welcome:
    header = await reader.readexactly(framing.FRAME_HEADER_BYTES)
    length = framing.frame_length(header, framing.FRAME_BYTES_MAX_STRANGER)
    message = framing.decode_from_tracker(await reader.readexactly(length))
    if not isinstance(message, Welcome):
        raise ProtocolError("it did not begin with a welcome")
    if message.version != requests.VERSION:
        raise ProtocolError(f"it speaks version {message.version}, this client version {requests.VERSION}")
    try:
        authority_in(message.authority_pem)
    except ValueError:
        raise ProtocolError("its authority is no certificate") from None
    return message


async def _presented_fingerprint(address: TrackerAddress, timeout_s: float) -> str:
    try:
        return fingerprint_of(await fetch_authority(address, timeout_s))
    except (TrackerLost, ValueError):
        return "nothing readable"


def _client_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _lost(address: TrackerAddress, error: BaseException) -> TrackerLost:
    if isinstance(error, ProtocolError):
        return TrackerLost(f"what answers at {address} is not a tracker of this version: {error}")
    if isinstance(error, TimeoutError):
        return TrackerLost(f"the tracker at {address} did not answer in time")
    if isinstance(error, ConnectionRefusedError):
        return TrackerLost(f"no tracker is running at {address}")
    if isinstance(error, EOFError | ConnectionError):
        return TrackerLost(f"the tracker at {address} closed the connection")
    return TrackerLost(f"the tracker at {address} cannot be reached: {error}")

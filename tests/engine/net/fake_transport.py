"""Both ends of a link without sockets: a transport that keeps what was written, and ways to read and feed it."""

import asyncio
from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from engine.swarm.slice_length import SHORTEST_BYTES
from engine.wire.codec import Decoder, encode
from engine.wire.messages import Message, PieceHeader
from tests.testkit.fakes import Member


class _FinishedTls:
    def __init__(self, peer: Member) -> None:
        self._certificate = x509.load_pem_x509_certificate(peer.identity.certificate_pem)

    def getpeercert(self, *, binary_form: bool) -> bytes:
        assert binary_form
        return self._certificate.public_bytes(Encoding.DER)


class FakeTransport(asyncio.Transport):
    """A sealed link to `peer` whose network takes everything at once, or says `takes_no_more` after each slice."""

    def __init__(self, peer: Member) -> None:
        super().__init__({"ssl_object": _FinishedTls(peer)})
        self.written = bytearray()
        self.is_aborted = False
        self.takes_no_more: Callable[[], None] = lambda: None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        if len(data) >= SHORTEST_BYTES:
            self.takes_no_more()

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def take(self) -> list[Message]:
        """What was said since the last call; the bytes of pieces are left out."""
        messages, data = list[Message](), bytes(self.written)
        self.written.clear()
        decoder, position = Decoder(), 0
        while position < len(data):
            if decoder.body_left:
                count = min(decoder.body_left, len(data) - position)
                decoder.body_received(count)
            else:
                room = decoder.buffer()
                count = min(len(room), len(data) - position)
                room[:count] = data[position : position + count]
                decoder.received(count)
            position += count
            for message in decoder.messages():
                messages.append(message)
                if isinstance(message, PieceHeader):
                    while decoder.take_body(memoryview(bytearray(4096))):
                        pass
        return messages


def feed(link: asyncio.BufferedProtocol, data: bytes, portions: Iterable[int] = ()) -> None:
    """Let the link receive these bytes, in these portions over and over, as an event loop would."""
    sizes, position, turn = list(portions) or [len(data)], 0, 0
    while position < len(data):
        room = memoryview(link.get_buffer(-1))
        chunk = data[position : position + min(sizes[turn % len(sizes)], len(room))]
        room[: len(chunk)] = chunk
        link.buffer_updated(len(chunk))
        position, turn = position + len(chunk), turn + 1


def say(link: asyncio.BufferedProtocol, *messages: Message) -> None:
    feed(link, b"".join(map(encode, messages)))

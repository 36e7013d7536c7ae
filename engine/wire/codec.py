"""Messages ↔ bytes, without sockets.

Every message is an 8-byte header (type, flags, two zero bytes, payload length; big-endian) and its payload. Messages
from the start of a link are msgpack, whose types check themselves; those that are sent for every piece are structs.

`Decoder` reads messages from a small staging buffer. The bytes of a piece go straight from the socket into the block
they are hashed from, except for the few that came into the staging buffer together with the piece's header.

Invariant (I5): no length is believed before it was compared with its bound, and no memory is taken for it either.
Any bytes give messages or a `RemoteProtocolError`, whatever portions they come in.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from engine.errors import RemoteProtocolError
from engine.wire.messages import (
    CANDIDATES_MAX,
    HAVES_MAX,
    SLICE_BYTES_MAX,
    Bye,
    Cancel,
    Close,
    Closed,
    Gossip,
    Have,
    Hello,
    Message,
    Mismatch,
    Open,
    Opened,
    PieceHeader,
    Prove,
    Refused,
    Reject,
    Renew,
    Request,
)

HEADER = struct.Struct("!BBHI")
HEADER_BYTES = HEADER.size
CONTROL_BYTES_MAX = (1 << 17) + 1024
"""The longest message that is not a piece: OPENED with the bitfield of 2**20 pieces."""

_STAGING_BYTES = 4096
"""Small, because bytes of a piece that land here are copied once more."""

_PIECE = struct.Struct("!IIII")
_REQUEST = struct.Struct("!IIII")
_ONE = struct.Struct("!I")
_TWO = struct.Struct("!II")
_THREE = struct.Struct("!III")

HELLO_TYPE = 1
"""The first byte of an open link; a sealed one begins with TLS's handshake record, 22."""
_PIECE_TYPE = 20
_MSGPACK: dict[int, type[Any]] = {
    HELLO_TYPE: Hello, 2: Open, 3: Renew, 4: Opened, 5: Refused, 6: Closed, 7: Bye, 8: Prove, 9: Gossip
}  # fmt: skip
_TYPE_OF: dict[type[Any], int] = {kind: number for number, kind in _MSGPACK.items()}
_TYPE_OF |= {Have: 16, Request: 17, Cancel: 18, Close: 19, PieceHeader: _PIECE_TYPE, Reject: 21, Mismatch: 22}
_DECODERS = {number: msgspec.msgpack.Decoder(kind) for number, kind in _MSGPACK.items()}
_encoder = msgspec.msgpack.Encoder()


# ---------------------------------------------------------------- encoding


def encode(message: Message) -> bytes:
    """The whole message; for a PieceHeader all but the piece's bytes, which the caller sends after it."""
    body_bytes = 0
    match message:
        case PieceHeader():
            payload = _PIECE.pack(message.request_id, message.piece, message.begin, message.length)
            body_bytes = message.length
        case Request():
            payload = _REQUEST.pack(message.request_id, message.channel, message.begin, message.length)
            payload += struct.pack(f"!{len(message.candidates)}I", *message.candidates)
        case Have():
            payload = struct.pack(f"!I{len(message.pieces)}I", message.channel, *message.pieces)
        case Cancel():
            payload = _TWO.pack(message.request_id, message.at)
        case Mismatch():
            payload = _TWO.pack(message.channel, message.piece)
        case Close():
            payload = _ONE.pack(message.channel)
        case Reject():
            payload = _THREE.pack(message.request_id, message.reason, message.after_ms)
        case _:
            payload = _encoder.encode(message)
    return HEADER.pack(_TYPE_OF[type(message)], 0, 0, len(payload) + body_bytes) + payload


# ---------------------------------------------------------------- decoding


def _decode_have(payload: memoryview) -> Have:
    numbers = _numbers(payload, 2, 1 + HAVES_MAX)
    return Have(numbers[0], numbers[1:])


def _decode_request(payload: memoryview) -> Request:
    numbers = _numbers(payload, 5, 4 + CANDIDATES_MAX)
    request_id, channel, begin, length, *candidates = numbers
    return Request(request_id, channel, begin, length, tuple(candidates))


def _decode_cancel(payload: memoryview) -> Cancel:
    return Cancel(*_numbers(payload, 2, 2))


def _decode_mismatch(payload: memoryview) -> Mismatch:
    return Mismatch(*_numbers(payload, 2, 2))


def _decode_close(payload: memoryview) -> Close:
    return Close(*_numbers(payload, 1, 1))


def _decode_reject(payload: memoryview) -> Reject:
    return Reject(*_numbers(payload, 3, 3))


def _numbers(payload: memoryview, count_min: int, count_max: int) -> tuple[int, ...]:
    count, rest = divmod(len(payload), 4)
    if rest or not count_min <= count <= count_max:
        raise RemoteProtocolError(f"a message of {len(payload)} bytes, not {count_min} to {count_max} numbers")
    return struct.unpack(f"!{count}I", payload)


_STRUCTS: dict[int, Callable[[memoryview], Message]] = {
    16: _decode_have,
    17: _decode_request,
    18: _decode_cancel,
    19: _decode_close,
    21: _decode_reject,
    22: _decode_mismatch,
}


def _decode_control(kind: int, payload: memoryview) -> Message:
    if kind in _STRUCTS:
        return _STRUCTS[kind](payload)
    try:
        message: Message = _DECODERS[kind].decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"a malformed message of type {kind}: {error}") from error
    return message


class Decoder:
    """Decodes one direction of one link.

    Let the socket fill `buffer()`, call `received(n)`, iterate `messages()`. After a `PieceHeader` the piece's bytes go
    to the caller: `take_body` gives those that are here already, the rest comes straight from the socket and is counted
    by `body_received`. While `body_left` is not 0 there are no messages.
    """

    def __init__(self) -> None:
        self._store = bytearray(_STAGING_BYTES)
        self._start = self._end = 0
        self.body_left = 0

    def buffer(self) -> memoryview:
        """Where the next bytes of messages go: never empty."""
        if self._start:
            self._store[: self._end - self._start] = self._store[self._start : self._end]
            self._start, self._end = 0, self._end - self._start
        if self._end == len(self._store):
            # Only a message longer than the staging can fill it, and its length was checked when its header came.
            self._store = self._store + bytes(HEADER_BYTES + CONTROL_BYTES_MAX - len(self._store))
        return memoryview(self._store)[self._end :]

    def received(self, count: int) -> None:
        """`count` bytes were put into `buffer()`."""
        self._end += count

    def messages(self) -> Iterator[Message]:
        """All whole messages up to the next piece; raises RemoteProtocolError."""
        while not self.body_left and self._end - self._start >= HEADER_BYTES:
            kind, flags, zero, length = HEADER.unpack_from(self._store, self._start)
            head_bytes = _check_header(kind, flags, zero, length)
            begin = self._start + HEADER_BYTES
            if self._end - begin < head_bytes:
                return
            self._start = begin + head_bytes
            payload = memoryview(self._store)[begin : begin + head_bytes]
            if kind == _PIECE_TYPE:
                header = PieceHeader(*_PIECE.unpack(payload))
                if header.length != length - _PIECE.size:
                    raise RemoteProtocolError(f"a piece of {header.length} bytes in a message of {length}")
                self.body_left = header.length
                yield header
            else:
                yield _decode_control(kind, payload)

    def take_body(self, target: memoryview) -> int:
        """Move the part of the piece that came along with its header into `target`; returns its length."""
        count = min(self.body_left, self._end - self._start, len(target))
        target[:count] = self._store[self._start : self._start + count]
        self._start += count
        self.body_left -= count
        return count

    def body_received(self, count: int) -> None:
        """`count` more bytes of the piece went straight into the caller's memory."""
        self.body_left -= count


def _check_header(kind: int, flags: int, zero: int, length: int) -> int:
    """How many payload bytes to collect before the message can be read."""
    if flags or zero:
        raise RemoteProtocolError("reserved bits are set")
    if kind == _PIECE_TYPE:
        if not _PIECE.size < length <= _PIECE.size + SLICE_BYTES_MAX:
            raise RemoteProtocolError(f"a piece message of {length} bytes")
        return _PIECE.size
    if kind not in _STRUCTS and kind not in _DECODERS:
        raise RemoteProtocolError(f"a message of unknown type {kind}")
    if length > CONTROL_BYTES_MAX:
        raise RemoteProtocolError(f"a message of {length} bytes, {CONTROL_BYTES_MAX} is the limit")
    return length

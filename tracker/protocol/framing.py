"""Messages ↔ frames: four bytes of big-endian length, then one msgpack value. Pure.

Invariant: nothing is allocated for a frame before its length was compared with the limit in force, and any bytes at all
give a message or a ProtocolError.

Not here: reading and writing sockets (server, client.connection).
"""

import msgspec
from msgspec import Struct

from tracker.protocol.requests import Call
from tracker.protocol.results import FromTracker
from tracker.protocol.types import Seq

FRAME_HEADER_BYTES = 4
FRAME_BYTES_MAX_STRANGER = 64 << 10
"""Before login: the largest honest request is a login."""
FRAME_BYTES_MAX_MEMBER = 12 << 20
"""After login: SHARES_PER_ANNOUNCE_MAX shares with the longest names. A page of a manifest has a mebibyte."""
FRAME_BYTES_MAX_REPLY = 36 << 20
"""From the tracker, which the client trusts with that much: a list of 90 000 files with the longest names."""


class ProtocolError(Exception):
    """The other side sent something that is not this protocol; the connection is of no further use."""


class _Envelope(Struct, frozen=True, array_like=True):
    """The front of a Call, whatever follows."""

    seq: Seq


_encoder = msgspec.msgpack.Encoder()
_call_decoder = msgspec.msgpack.Decoder(Call)
_from_tracker_decoder: msgspec.msgpack.Decoder[FromTracker] = msgspec.msgpack.Decoder(FromTracker)
_seq_decoder = msgspec.msgpack.Decoder(_Envelope)


def encode_frame(message: Call | FromTracker) -> bytes:
    """The whole frame, header included."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(FRAME_HEADER_BYTES, "big") + payload


def frame_length(header: bytes, limit_bytes: int) -> int:
    """Payload length announced by a header; raises ProtocolError if it is over the limit in force."""
    length = int.from_bytes(header, "big")
    if length > limit_bytes:
        raise ProtocolError(f"a frame of {length} bytes, {limit_bytes} is the limit here")
    return length


def decode_call(payload: bytes) -> Call:
    """Raises ProtocolError for anything that is not a Call within its bounds."""
    try:
        return _call_decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not a request: {error}") from error


def decode_seq(payload: bytes) -> int | None:
    """The seq of a frame that may otherwise not be a Call, so that its sender can be told; None if it has none."""
    try:
        return _seq_decoder.decode(payload).seq
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def decode_from_tracker(payload: bytes) -> FromTracker:
    """Raises ProtocolError for anything a tracker may not say."""
    try:
        return _from_tracker_decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not a tracker's message: {error}") from error

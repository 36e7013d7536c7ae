"""Bytes into a decoder as a link would put them there, in portions of any size."""

from collections.abc import Iterable

from engine.wire.codec import Decoder
from engine.wire.messages import Message, PieceHeader


def feed(
    decoder: Decoder, data: bytes, portions: Iterable[int], seen: list[Message | bytes] | None = None
) -> list[Message | bytes]:
    """What a link would see: messages and, after each header of a piece, its bytes. Repeats the portions for ever.

    `seen`: what came is put there, so that it is known also if the decoder raises.
    """
    seen = [] if seen is None else seen
    body = bytearray()
    sizes = [portion for portion in portions if portion > 0] or [len(data) or 1]
    position = turn = 0

    def take() -> None:
        """What came along with the header, in small helpings; the rest goes by `body_received`."""
        helping = memoryview(bytearray(7 + turn % 500))
        while decoder.body_left:
            count = decoder.take_body(helping)
            if not count:
                return
            body.extend(helping[:count])

    def drain() -> None:
        for message in decoder.messages():
            seen.append(message)
            if isinstance(message, PieceHeader):
                assert decoder.body_left == message.length
                take()
                if not decoder.body_left:
                    seen.append(bytes(body))
                    body.clear()

    while position < len(data):
        size = sizes[turn % len(sizes)]
        turn += 1
        if decoder.body_left:
            chunk = data[position : position + min(size, decoder.body_left)]
            body.extend(chunk)
            decoder.body_received(len(chunk))
            if not decoder.body_left:
                seen.append(bytes(body))
                body.clear()
        else:
            room = decoder.buffer()
            assert len(room) > 0
            chunk = data[position : position + min(size, len(room))]
            room[: len(chunk)] = chunk
            decoder.received(len(chunk))
        position += len(chunk)
        drain()
    return seen

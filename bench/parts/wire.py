"""How many messages a second the codec encodes and decodes, in one process, one message at a time.

Not for: the rate of a link, which its socket decides.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from bench.record.report import Section
from engine.wire.codec import Decoder, encode
from engine.wire.messages import Cancel, Have, Message, Open, Opened, PieceHeader, Reject, RejectReason, Request

_SLICE_BYTES = 256 << 10
_MESSAGES: dict[str, Message] = {
    "REQUEST, 8 candidates": Request(7, 1, 0, 0, tuple(range(1000, 1008))),
    "PIECE header": PieceHeader(7, 1000, 0, _SLICE_BYTES),
    "HAVE, 1 piece": Have(1, (1000,)),
    "HAVE, 64 pieces": Have(1, tuple(range(64))),
    "CANCEL": Cancel(7),
    "REJECT": Reject(7, int(RejectReason.CANCELLED)),
    "OPEN": Open(1, "lab", bytes(32), "t" * 600),
    "OPENED, 65 536 pieces": Opened(1, bytes(8192)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=20_000, help="messages a round")
    parser.add_argument("--rounds", type=int, default=5)


def measure(options: argparse.Namespace) -> Section:
    rows: list[list[str]] = []
    data: dict[str, dict[str, float]] = {}
    for name, message in _MESSAGES.items():
        encoded = encode(message)
        encoding, decoding = _rate(_encoding(message), options), _rate(_decoding(encoded), options)
        data[name] = {"encode_per_s": encoding, "decode_per_s": decoding, "bytes": len(encoded)}
        rows.append([name, str(len(encoded)), f"{encoding:,.0f}", f"{decoding:,.0f}"])
    return Section(
        "wire",
        "The codec",
        f"Medians of {options.rounds} rounds of {options.count:,} messages. The bytes of a piece never pass the codec.",
        ["message", "bytes", "encoded a second", "decoded a second"],
        rows,
        data=data,
    )


def _encoding(message: Message) -> Callable[[], object]:
    return lambda: encode(message)


def _decoding(encoded: bytes) -> Callable[[], object]:
    """As a link does it: the socket fills the decoder's buffer, and the decoder returns messages."""
    decoder = Decoder()

    def decode() -> None:
        left = memoryview(encoded)
        while left:
            buffer = decoder.buffer()
            count = min(len(buffer), len(left))
            buffer[:count] = left[:count]
            decoder.received(count)
            for _ in decoder.messages():
                decoder.body_received(decoder.body_left)
            left = left[count:]

    return decode


def _rate(action: Callable[[], object], options: argparse.Namespace) -> float:
    seconds = []
    for _ in range(options.rounds + 1):
        started_s = time.perf_counter()
        for _ in range(options.count):
            action()
        seconds.append(time.perf_counter() - started_s)
    return float(options.count / statistics.median(seconds[1:]))

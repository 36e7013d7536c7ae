"""Small things that many tests need: bounded hypothesis settings, geometries, bitfields, PEM, files."""

import base64
from collections.abc import Iterable
from pathlib import Path

import hypothesis
import numpy as np

from engine.swarm.availability import Availability
from engine.swarm.bitfield import Bitfield
from engine.swarm.geometry import PIECE_BYTES_MIN, Geometry

MIB = 1 << 20


def bounded(max_examples: int) -> hypothesis.settings:
    """Settings with this many examples, and without a deadline that a slow machine would miss."""
    return hypothesis.settings(max_examples=max_examples, deadline=None)


def stepped(max_examples: int, step_count: int) -> hypothesis.settings:
    """The same for a state machine."""
    return hypothesis.settings(max_examples=max_examples, stateful_step_count=step_count, deadline=None)


def geometry_of(piece_count: int, last_bytes: int = PIECE_BYTES_MIN, piece_bytes: int = PIECE_BYTES_MIN) -> Geometry:
    """A file of that many pieces, the last one `last_bytes` long."""
    return Geometry(max(0, (piece_count - 1) * piece_bytes + last_bytes) if piece_count else 0, piece_bytes)


def bitfield_of(piece_count: int, pieces: Iterable[int]) -> Bitfield:
    """A bitfield with exactly these pieces."""
    bitfield = Bitfield(piece_count)
    for piece in pieces:
        bitfield.add(piece)
    return bitfield


def in_pem(der: bytes) -> bytes:
    """A certificate as text, whatever it is."""
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def write_content(path: Path, size_bytes: int) -> Path:
    """A file in which no piece is like another. One random MiB, a number added to each copy of it: os.urandom takes ten
    times as long, and tests write gigabytes.
    """
    block = np.random.default_rng().integers(0, 1 << 64, MIB // 8, np.uint64)
    with path.open("wb") as file:
        for number, begin in enumerate(range(0, size_bytes, MIB)):
            file.write((block + np.uint64(number)).data.cast("B")[: size_bytes - begin])
    return path


def count_of(availability: Availability, piece: int) -> int:
    """How many connected peers have this piece."""
    return availability._counts[piece] + availability.complete_count

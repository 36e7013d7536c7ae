"""Messages survive the wire in any portions; any other bytes end in RemoteProtocolError and take no memory first."""

import contextlib
import random
import struct
from collections.abc import Iterable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RemoteProtocolError
from engine.wire.codec import CONTROL_BYTES_MAX, HEADER, HEADER_BYTES, Decoder, encode
from engine.wire.messages import (
    BITFIELD_BYTES_MAX,
    CANDIDATES_MAX,
    CERTIFICATE_BYTES_MAX,
    HAVES_MAX,
    NONCE_BYTES,
    SLICE_BYTES_MAX,
    Hello,
    Message,
    Open,
    Opened,
    PieceHeader,
    Prove,
    Role,
)
from tests.engine.wire.feeding import feed
from tests.engine.wire.samples import EXAMPLES, KINDS
from tests.testkit.builders import bounded

PIECE_TYPE = 20
ALL_TYPES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20, 21, 22]
any_message = st.one_of(*KINDS.values())
small_message = any_message.filter(lambda message: len(encode(message)) < 2000)
tiny_message = any_message.filter(lambda message: HEADER.unpack_from(encode(message))[3] < 300)


def stream_of(messages: list[Message], seed: int = 0) -> tuple[bytes, list[Message | bytes]]:
    """The bytes of these messages with random bodies for the pieces, and what is to come out again."""
    rng, data, expected = random.Random(seed), bytearray(), list[Message | bytes]()
    for message in messages:
        data += encode(message)
        expected.append(message)
        if isinstance(message, PieceHeader):
            body = rng.randbytes(message.length)
            data += body
            expected.append(body)
    return bytes(data), expected


@pytest.mark.parametrize("kind", list(KINDS), ids=lambda kind: str(kind.__name__))
def test_every_kind_comes_out_as_it_went_in(kind: type[Any]) -> None:
    @given(message=KINDS[kind])
    @bounded(25)
    def check(message: Message) -> None:
        data, expected = stream_of([message])
        assert feed(Decoder(), data, [4096]) == expected

    check()


def test_the_samples_are_all_messages_there_are() -> None:
    assert set(KINDS) == set(EXAMPLES) == set(get_args(Message))
    assert sorted(encode(message)[0] for message in EXAMPLES.values()) == ALL_TYPES


portion_lists = st.lists(st.integers(1, 3000), max_size=5)


@given(messages=st.lists(small_message, max_size=6), portions=portion_lists, seed=st.integers())
@bounded(100)
def test_a_stream_is_the_same_in_any_portions(messages: list[Message], portions: list[int], seed: int) -> None:
    data, expected = stream_of(messages, seed)
    assert feed(Decoder(), data, portions) == expected


@given(messages=st.lists(tiny_message, max_size=4))
@bounded(40)
def test_a_stream_is_the_same_byte_by_byte(messages: list[Message]) -> None:
    data, expected = stream_of(messages)
    assert feed(Decoder(), data, [1]) == expected


@given(length=st.integers(1, 20_000), portions=st.lists(st.integers(1, 9000), min_size=1, max_size=4))
@bounded(60)
def test_the_bytes_of_pieces_are_delivered_exactly(length: int, portions: list[int]) -> None:
    pieces: list[Message] = [PieceHeader(1, 2, 0, length), PieceHeader(1, 2, length, 3), EXAMPLES[Hello]]
    data, expected = stream_of(pieces, seed=length)
    assert feed(Decoder(), data, portions) == expected


def test_there_are_no_messages_while_bytes_of_a_piece_are_left() -> None:
    decoder, header = Decoder(), PieceHeader(1, 2, 0, 500)
    data = encode(header) + bytes(500) + encode(EXAMPLES[Hello])
    decoder.buffer()[: len(data)] = data
    decoder.received(len(data))
    assert list(decoder.messages()) == [header]
    assert decoder.take_body(memoryview(bytearray(499))) == 499
    assert list(decoder.messages()) == []
    assert decoder.take_body(memoryview(bytearray(499))) == 1
    assert list(decoder.messages()) == [EXAMPLES[Hello]]


def test_the_longest_messages_of_all_follow_each_other() -> None:
    longest = Opened(1, b"\xff" * BITFIELD_BYTES_MAX)
    data, expected = stream_of([longest, EXAMPLES[Hello], longest, PieceHeader(1, 2, 0, 5000), longest])
    for portions in ([70_000], [len(data)], [4097, 1]):
        assert feed(Decoder(), data, portions) == expected


# ---------------------------------------------------------------- what is no message


def outcome_of(data: bytes, portions: Iterable[int] = ()) -> None:
    """Messages or RemoteProtocolError; any other exception is the defect looked for."""
    with contextlib.suppress(RemoteProtocolError):
        feed(Decoder(), data, portions)


@given(data=st.binary(max_size=300), portions=st.lists(st.integers(1, 50), max_size=3))
@bounded(200)
def test_any_bytes_give_messages_or_a_protocol_error(data: bytes, portions: list[int]) -> None:
    outcome_of(data, portions)


@given(kind=st.sampled_from(ALL_TYPES), payload=st.binary(max_size=100))
@bounded(400)
def test_any_payload_under_a_valid_header_gives_a_message_or_a_protocol_error(kind: int, payload: bytes) -> None:
    outcome_of(HEADER.pack(kind, 0, 0, len(payload)) + payload)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=70) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(kind=st.integers(1, 8), value=st.lists(plain, max_size=5) | plain)
@bounded(300)
def test_any_msgpack_under_a_valid_header_gives_a_message_or_a_protocol_error(kind: int, value: object) -> None:
    payload = msgspec.msgpack.encode(value)
    outcome_of(HEADER.pack(kind, 0, 0, len(payload)) + payload)


@given(message=small_message, data=st.data())
@bounded(200)
def test_a_changed_byte_gives_messages_or_a_protocol_error(message: Message, data: st.DataObject) -> None:
    stream, _ = stream_of([message])
    place = data.draw(st.integers(0, len(stream) - 1))
    changed = bytearray(stream)
    changed[place] ^= data.draw(st.integers(1, 255))
    outcome_of(bytes(changed))


def test_deep_nesting_is_a_protocol_error() -> None:
    payload = b"\x91" * 100_000
    with pytest.raises(RemoteProtocolError):
        feed(Decoder(), HEADER.pack(1, 0, 0, len(payload)) + payload, [])


def refused(kind: int, payload: bytes = b"", flags: int = 0, zero: int = 0, length: int | None = None) -> str:
    with pytest.raises(RemoteProtocolError) as refusal:
        feed(Decoder(), HEADER.pack(kind, flags, zero, len(payload) if length is None else length) + payload, [])
    return str(refusal.value)


@pytest.mark.parametrize("kind", [kind for kind in ALL_TYPES if kind != PIECE_TYPE])
def test_a_length_over_the_limit_is_refused_from_the_header_alone(kind: int) -> None:
    assert "limit" in refused(kind, length=CONTROL_BYTES_MAX + 1)
    assert "limit" in refused(kind, length=2**32 - 1)


def test_a_length_at_the_limit_is_waited_for_without_taking_its_memory() -> None:
    decoder = Decoder()
    assert feed(decoder, HEADER.pack(4, 0, 0, CONTROL_BYTES_MAX), []) == []
    assert len(decoder.buffer()) < 8192


def test_memory_stays_bounded_whatever_comes() -> None:
    decoder = Decoder()
    feed(decoder, HEADER.pack(4, 0, 0, CONTROL_BYTES_MAX) + bytes(CONTROL_BYTES_MAX - 1), [])
    assert len(decoder._store) <= HEADER_BYTES + CONTROL_BYTES_MAX


@pytest.mark.parametrize("length", [0, 15, 16, 16 + SLICE_BYTES_MAX + 1, 2**32 - 1])
def test_a_piece_message_of_no_bytes_or_too_many_is_refused_from_the_header_alone(length: int) -> None:
    assert "piece" in refused(PIECE_TYPE, length=length)


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_piece_whose_two_lengths_differ_is_refused(difference: int) -> None:
    payload = struct.pack("!IIII", 1, 2, 0, 100 + difference)
    assert "piece" in refused(PIECE_TYPE, payload, length=16 + 100)


@pytest.mark.parametrize("kind", sorted(set(range(256)) - set(ALL_TYPES)))
def test_an_unknown_type_is_refused(kind: int) -> None:
    assert "unknown type" in refused(kind)


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_reserved_bits_are_refused(kind: int) -> None:
    for flags, zero in [(1, 0), (128, 0), (0, 1), (0, 1 << 15)]:
        assert "reserved" in refused(kind, flags=flags, zero=zero, length=20)


@pytest.mark.parametrize(
    ("kind", "number_counts"),
    [
        (16, (0, 1, HAVES_MAX + 2)),
        (17, (0, 4, 4 + CANDIDATES_MAX + 1)),
        (18, (0, 1, 3)),
        (19, (0, 2)),
        (21, (0, 2, 4)),
    ],
)
def test_too_few_or_too_many_numbers_are_refused(kind: int, number_counts: tuple[int, ...]) -> None:
    for count in number_counts:
        assert "numbers" in refused(kind, bytes(4 * count))
    for extra in (1, 2, 3):
        assert "numbers" in refused(kind, bytes(4 * 5 + extra))


@pytest.mark.parametrize(
    "message",
    [
        Hello(-1, Role.SERVER),
        Hello(2**32, Role.SERVER),
        Hello(1, 3),  # type: ignore[arg-type]
        Hello(1, Role.SERVER, bytes(NONCE_BYTES + 1)),
        Prove(b"", bytes(63)),
        Prove(b"", bytes(65)),
        Prove(bytes(CERTIFICATE_BYTES_MAX + 1), bytes(64)),
        Open(-1, "lab", bytes(32), ""),
        Open(2**32, "lab", bytes(32), ""),
        Open(1, "", bytes(32), ""),
        Open(1, "g" * 65, bytes(32), ""),
        Open(1, "lab", bytes(31), ""),
        Open(1, "lab", bytes(33), ""),
        Open(1, "lab", bytes(32), "t" * 2049),
        Opened(1, bytes(BITFIELD_BYTES_MAX + 1)),
    ],
)
def test_a_field_outside_its_bounds_is_refused(message: Message) -> None:
    assert "malformed" in refused(encode(message)[0], encode(message)[HEADER_BYTES:])


def test_a_field_too_many_or_too_few_is_refused() -> None:
    fields = [1, "closed", "reason"]
    assert feed(Decoder(), framed(6, fields), [])
    for wrong in ([*fields, 0], fields[:2], [], {"channel": 1, "code": "x", "reason": "x"}):
        with pytest.raises(RemoteProtocolError):
            feed(Decoder(), framed(6, wrong), [])


def framed(kind: int, value: object) -> bytes:
    payload = msgspec.msgpack.encode(value)
    return HEADER.pack(kind, 0, 0, len(payload)) + payload

"""What a peer sends: the codec, and the two state machines behind it."""

from collections.abc import Iterator

from engine.errors import RemoteProtocolError
from engine.swarm.bitfield import BadBitfield, Bitfield
from engine.swarm.geometry import PIECE_BYTES_MIN
from engine.wire.codec import CONTROL_BYTES_MAX, HEADER_BYTES, Decoder, encode
from engine.wire.link_state import FetcherState, ServerState
from engine.wire.messages import Message, Open, Opened, PieceHeader, Request
from tests.engine.wire.feeding import feed
from tests.testkit.builders import geometry_of

GEOMETRY = geometry_of(11, last_bytes=1000)
REQUESTS_MAX = 4
CHANNELS_MAX = 3
SCRIPT_BYTES = 8
"""The first bytes of an input say what the judging side does between two messages."""


def wire(data: bytes) -> None:
    whole, fault = _heard(data, len(data))
    assert _heard(data, 1) == (whole, fault), "whole and byte by byte differ"
    for each in whole:
        if not isinstance(each, bytes | PieceHeader):
            assert feed(Decoder(), encode(each), []) == [each]


def fetcher_link(data: bytes) -> None:
    """The fetcher judges; what passes lies inside the file, and is what was asked for."""
    script, data = data[:SCRIPT_BYTES] or b"\0", data[SCRIPT_BYTES:]
    state = FetcherState(needs_proof=bool(script[0] & 1))
    asked: dict[int, Request] = {}
    state.opening(1, GEOMETRY)
    try:
        for turn, message in enumerate(_messages(data)):
            arriving = state.received(message)
            if arriving is not None:
                request = asked[arriving.request_id]
                assert arriving.piece in request.candidates
                assert arriving.begin + arriving.length <= GEOMETRY.length_of(arriving.piece)
                assert 0 <= arriving.wanted <= arriving.length
            if isinstance(message, Opened):
                Bitfield(GEOMETRY.piece_count, message.bitfield)
            _act_as_fetcher(state, script[turn % len(script)], asked)
    except (RemoteProtocolError, BadBitfield):
        return


def server_link(data: bytes) -> None:
    """The server judges; what passes lies inside the file, and no more is queued than allowed."""
    script, data = data[:SCRIPT_BYTES] or b"\0", data[SCRIPT_BYTES:]
    state = ServerState(REQUESTS_MAX, CHANNELS_MAX, needs_proof=bool(script[0] & 1))
    queued: set[int] = set()
    try:
        for turn, message in enumerate(_messages(data)):
            state.received(message)
            does = script[turn % len(script)]
            if isinstance(message, Open) and does & 2:
                state.opened(message.channel, GEOMETRY)
            elif isinstance(message, Open) and does & 4:
                state.closed(message.channel)
            elif isinstance(message, Request):
                _check_request(state, message)
                queued.add(message.request_id)
                assert len(queued) <= REQUESTS_MAX
            if does & 8 and queued:
                state.answered(queued.pop())
    except RemoteProtocolError:
        return


def _heard(data: bytes, portion: int) -> tuple[list[Message | bytes], str]:
    decoder, seen = Decoder(), list[Message | bytes]()
    fault = ""
    try:
        feed(decoder, data, [portion], seen)
    except RemoteProtocolError as error:
        fault = str(error)
    assert len(decoder._store) <= HEADER_BYTES + CONTROL_BYTES_MAX
    return seen, fault


def _messages(data: bytes) -> Iterator[Message]:
    """As a link gets them; the bytes of pieces are left out, or every input would have to carry them."""
    decoder = Decoder()
    while data:
        room = decoder.buffer()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        decoder.received(count)
        data = data[count:]
        for message in decoder.messages():
            yield message
            decoder.body_received(decoder.body_left)


def _act_as_fetcher(state: FetcherState, does: int, asked: dict[int, Request]) -> None:
    number = len(asked) + 1
    if does & 2 and number <= 64:
        length = PIECE_BYTES_MIN // 2 if does & 4 else 0
        asked[number] = Request(number, 1, length, length, (0, number % 10))
        state.asking(asked[number])
    if does & 8:
        state.cancelling(number // 2)
    if does & 16:
        stop = state.cutting(number - 1)
        assert 0 <= stop <= PIECE_BYTES_MIN
    if does & 32:
        state.closing(1)
        state.opening(1, GEOMETRY)


def _check_request(state: ServerState, message: Request) -> None:
    assert state.is_queued(message.request_id)
    if state.has_channel(message.channel):
        for piece in message.candidates:
            assert message.begin + message.length <= GEOMETRY.length_of(piece)
            assert message.begin < GEOMETRY.length_of(piece)

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol import framing, manifests, requests
from tracker.protocol.framing import ProtocolError, decode_call, decode_from_tracker, decode_seq, encode_frame
from tracker.protocol.requests import Call
from tracker.protocol.results import Reply
from tracker.protocol.types import PAGE_BYTES, PAGES_MAX, SHARES_PER_ANNOUNCE_MAX, SIZE_BYTES_MAX

ids = st.text(min_size=1, max_size=64)
roots = st.binary(min_size=32, max_size=32)
shares = st.lists(st.builds(requests.Share, ids, roots, st.booleans()), max_size=3)
sent_requests = st.one_of(
    st.builds(requests.CreateUser, ids, ids),
    st.builds(requests.Login, ids, ids, roots, st.binary(min_size=64, max_size=64)),
    st.builds(requests.AcceptRequest, ids, ids),
    st.builds(requests.Announce, st.text(max_size=64), st.integers(1, 65535), shares),
    st.builds(requests.FindPeers, ids, roots, st.integers(1, 50)),
    st.builds(manifests.Publish, ids, ids, st.just(5), st.just(1 << 18), roots, roots),
    st.just(requests.Heartbeat()),
)
calls = st.builds(Call, st.integers(0, 2**32 - 1), st.binary(min_size=16, max_size=16), sent_requests)


def payload(frame: bytes) -> bytes:
    assert framing.frame_length(frame[:4], 1 << 20) == len(frame) - 4
    return frame[4:]


@given(calls)
def test_every_call_round_trips(call: Call) -> None:
    assert decode_call(payload(encode_frame(call))) == call
    assert decode_seq(payload(encode_frame(call))) == call.seq


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_a_protocol_error(garbage: bytes) -> None:
    for decode in (decode_call, decode_from_tracker):
        try:
            decode(garbage)
        except ProtocolError:
            continue
    decode_seq(garbage)


@given(calls, st.data())
def test_a_damaged_call_is_a_call_or_a_protocol_error(call: Call, data: st.DataObject) -> None:
    raw = bytearray(payload(encode_frame(call)))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        assert isinstance(decode_call(bytes(raw)), Call)


def test_deep_nesting_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        decode_call(b"\x91" * 100_000)
    assert decode_seq(b"\x91" * 100_000) is None


def test_the_seq_of_a_bad_request_is_still_known() -> None:
    raw = msgspec.msgpack.encode([7, b"\0" * 16, ["no_such_request", 1]])
    with pytest.raises(ProtocolError):
        decode_call(raw)
    assert decode_seq(raw) == 7


def test_a_length_over_the_limit_is_refused_from_the_header_alone() -> None:
    with pytest.raises(ProtocolError, match="limit"):
        framing.frame_length(b"\xff\xff\xff\xff", framing.FRAME_BYTES_MAX_MEMBER)


def test_the_largest_honest_messages_fit_their_frames() -> None:
    page = bytes(PAGE_BYTES)
    publish = manifests.Publish("g" * 64, "n" * 255, SIZE_BYTES_MAX, 1 << 24, bytes(32), b"", [bytes(32)] * PAGES_MAX)
    shares = [requests.Share("g" * 64, bytes(32), True)] * SHARES_PER_ANNOUNCE_MAX
    for request in (publish, manifests.PutPage("g" * 64, page), requests.Announce("h" * 64, 65535, shares)):
        assert len(encode_frame(Call(2**32 - 1, bytes(16), request))) <= framing.FRAME_BYTES_MAX_MEMBER
    manifest = manifests.Manifest("n" * 255, SIZE_BYTES_MAX, 1 << 24, bytes(32), page, "p" * 64)
    assert len(encode_frame(Reply(1, manifest))) <= framing.FRAME_BYTES_MAX_REPLY

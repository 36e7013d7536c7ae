"""What a client sends to a tracker, what a tracker says to a client, and the manifests in it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from engine.client import manifests
from engine.client.session import TrackerSession
from engine.coordinator.peer_links import PeerAddress
from engine.errors import TrackerUnavailable
from engine.storage.manifest import BadManifest, Manifest
from engine.swarm.geometry import BadGeometry, Geometry
from tracker.client.connection import _read_message
from tracker.protocol import framing, requests, results
from tracker.protocol import manifests as protocol_manifests
from tracker.protocol.framing import ProtocolError

Answer = TypeVar("Answer")
_TWO_PAGES = Manifest.of_leaves(Geometry(32769 << 18, 1 << 18), bytes(32769 * 32))
_loop = asyncio.new_event_loop()


def tracker_request(data: bytes) -> None:
    """One frame as the tracker reads it."""
    header, payload = data[: framing.FRAME_HEADER_BYTES], data[framing.FRAME_HEADER_BYTES :]
    try:
        assert framing.frame_length(header, framing.FRAME_BYTES_MAX_STRANGER) <= framing.FRAME_BYTES_MAX_STRANGER
        call = framing.decode_call(payload)
    except ProtocolError:
        seq = framing.decode_seq(payload)
        assert seq is None or 0 <= seq < 2**32
        return
    assert framing.decode_seq(payload) == call.seq
    frame = framing.encode_frame(call)
    assert framing.encode_frame(framing.decode_call(frame[framing.FRAME_HEADER_BYTES :])) == frame


def tracker_message(data: bytes) -> None:
    """A stream of frames as a client reads it."""
    whole = _heard(data, len(data) or 1)
    assert _heard(data, 1) == whole, "whole and byte by byte differ"
    for frame in whole[:-1]:
        again = framing.decode_from_tracker(frame[framing.FRAME_HEADER_BYTES :])
        assert framing.encode_frame(again) == frame


def manifest(data: bytes) -> None:
    """A tracker's description of a file, in pages: it becomes a Manifest only if all of it hashes to its root."""
    frames = _heard(data, len(data) or 1)[:-1]
    messages = [framing.decode_from_tracker(frame[framing.FRAME_HEADER_BYTES :]) for frame in frames]
    answers = [message.result for message in messages if isinstance(message, results.Reply)]
    if not answers or not isinstance(answers[0], protocol_manifests.Manifest):
        return
    _accept(answers)
    _accept([_with_its_root(answers[0]), *answers[1:]])
    if isinstance(answers[-1], protocol_manifests.Published):
        _publish(answers[1:])


def _heard(data: bytes, portion: int) -> list[bytes]:
    """The messages of a stream, encoded again (a message may hold what is not equal to itself), and how it ended."""
    reader = asyncio.StreamReader(loop=_loop)
    frames = list[bytes]()
    portions = [data[start : start + portion] for start in range(0, len(data), portion)]
    reading = _read_message(reader)
    while True:
        try:
            reading.send(None)
            if portions:
                reader.feed_data(portions.pop(0))
            else:
                reader.feed_eof()
        except StopIteration as read:
            frames.append(framing.encode_frame(read.value))
            reading = _read_message(reader)
        except (ProtocolError, EOFError) as error:
            return [*frames, str(error).encode()]


class _Tracker:
    """Stands in for a session: answers what it was given, in order."""

    def __init__(self, answers: list[results.Result]) -> None:
        self._answers = answers

    async def call(self, request: requests.Request, answer_type: type[Answer]) -> Answer:
        answer = self._answers.pop(0) if self._answers else None
        if not isinstance(answer, answer_type):
            raise TrackerUnavailable("the tracker answered something else")
        return answer

    async def fetch_manifest(self, group_id: str, name: str) -> tuple[protocol_manifests.Manifest, list[PeerAddress]]:
        return await self.call(protocol_manifests.FetchManifest(group_id, name), protocol_manifests.Manifest), []


def _accept(answers: list[results.Result]) -> None:
    try:
        found, _, name = _finished(manifests.fetch(cast(TrackerSession, _Tracker(list(answers))), "lab", "data.bin"))
    except (BadManifest, TrackerUnavailable):
        return
    described = answers[0]
    assert isinstance(described, protocol_manifests.Manifest)
    assert name == described.name == "data.bin"
    assert (found.root, found.geometry.size_bytes) == (described.root, described.size_bytes)
    assert found.leaves.shape == (found.geometry.piece_count, 32)
    assert Manifest.of_leaves(found.geometry, found.leaves.tobytes()).root == found.root


def _publish(answers: list[results.Result]) -> None:
    """Whatever pages a tracker says it wants."""
    try:
        _finished(manifests.publish(cast(TrackerSession, _Tracker(answers)), "lab", "data.bin", _TWO_PAGES))
    except TrackerUnavailable:
        return


def _with_its_root(described: protocol_manifests.Manifest) -> protocol_manifests.Manifest:
    """What a member would publish who computes the root of whatever it is."""
    try:
        geometry = Geometry(described.size_bytes, described.piece_bytes)
        root = Manifest.of_leaves(geometry, described.leaves).root
    except (BadGeometry, ValueError):
        return described
    return protocol_manifests.Manifest(
        described.name, described.size_bytes, described.piece_bytes, root, described.leaves, described.publisher
    )


def _finished(work: Coroutine[Any, Any, Answer]) -> Answer:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast(Answer, done.value)
    raise AssertionError("it waits")

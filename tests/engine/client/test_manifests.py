"""Manifests to and from a tracker that may say anything."""

import random
from collections.abc import Callable
from typing import cast

import pytest

from engine.client import manifests
from engine.client.session import TrackerSession
from engine.coordinator.peer_links import PeerAddress
from engine.errors import TrackerUnavailable
from engine.storage.manifest import LEAF_BYTES, BadManifest, Manifest
from engine.swarm.geometry import Geometry
from tracker.protocol import manifests as protocol_manifests
from tracker.protocol import requests, results
from tracker.protocol.types import PAGE_BYTES

PIECE_COUNT = 2 * PAGE_BYTES // LEAF_BYTES + 5
GEOMETRY = Geometry(PIECE_COUNT << 18, 1 << 18)
LEAVES = random.Random(1).randbytes(PIECE_COUNT * LEAF_BYTES)
TRUE = Manifest.of_leaves(GEOMETRY, LEAVES)
PAGES = [LEAVES[start : start + PAGE_BYTES] for start in range(0, len(LEAVES), PAGE_BYTES)]


class Tracker:
    """Answers as it is told, in the place of a TrackerSession; keeps what it was asked."""

    def __init__(
        self, pages: list[bytes], wants: Callable[[int], list[int]] = lambda _: [], spelling: str = ""
    ) -> None:
        self.pages, self.wants, self.spelling = pages, wants, spelling
        self.asked: list[requests.Request] = []

    async def call(self, request: requests.Request, answer_type: type) -> results.Result:
        self.asked.append(request)
        match request:
            case protocol_manifests.FetchPage():
                return protocol_manifests.Page(self.pages[request.number])
            case protocol_manifests.Publish():
                rounds = sum(isinstance(one, protocol_manifests.Publish) for one in self.asked)
                return protocol_manifests.Published(False, self.wants(rounds), self.spelling)
        return results.Done()

    async def fetch_manifest(self, group_id: str, name: str) -> tuple[protocol_manifests.Manifest, list[PeerAddress]]:
        size, piece = GEOMETRY.size_bytes, GEOMETRY.piece_bytes
        return protocol_manifests.Manifest(self.spelling or name, size, piece, TRUE.root, self.pages[0], "ann"), []


def session(tracker: Tracker) -> TrackerSession:
    return cast(TrackerSession, tracker)


async def test_pages_are_put_together_and_checked_against_the_root() -> None:
    found, _, name = await manifests.fetch(session(Tracker(PAGES)), "lab", "data")
    assert name == "data"
    assert found.root == TRUE.root
    assert found.leaves.tobytes() == LEAVES


@pytest.mark.parametrize(
    "pages",
    [
        [PAGES[1], PAGES[0], PAGES[2]],
        [PAGES[0], PAGES[0], PAGES[2]],
        [PAGES[0], PAGES[1], bytes(len(PAGES[2]))],
        [PAGES[0], PAGES[1], PAGES[2] + bytes(LEAF_BYTES)],
        [PAGES[0], PAGES[1][:-1], PAGES[2]],
        [PAGES[0], b"", PAGES[2]],
        [b"", PAGES[1], PAGES[2]],
    ],
    ids=["out of order", "overlapping", "made up", "too long", "too short", "missing", "first missing"],
)
async def test_other_pages_are_no_manifest(pages: list[bytes]) -> None:
    with pytest.raises(BadManifest):
        await manifests.fetch(session(Tracker(pages)), "lab", "data")


async def test_after_a_page_of_wrong_length_no_other_is_asked_for() -> None:
    tracker = Tracker([PAGES[0], b"", PAGES[2]])
    with pytest.raises(BadManifest, match="page 1"):
        await manifests.fetch(session(tracker), "lab", "data")
    assert len(tracker.asked) == 1


async def test_only_wanted_pages_are_put() -> None:
    tracker = Tracker(PAGES, lambda rounds: [2, 0] if rounds == 1 else [])
    await manifests.publish(session(tracker), "lab", "data", TRUE)
    put = [one.leaves for one in tracker.asked if isinstance(one, protocol_manifests.PutPage)]
    assert put == [PAGES[2], PAGES[0]]


async def test_a_tracker_that_always_wants_more_is_given_up() -> None:
    with pytest.raises(TrackerUnavailable, match="try again"):
        await manifests.publish(session(Tracker(PAGES, lambda _: [0])), "lab", "data", TRUE)


async def test_a_tracker_that_wants_what_is_not_there_is_refused() -> None:
    with pytest.raises(TrackerUnavailable, match="at fault"):
        await manifests.publish(session(Tracker(PAGES, lambda _: [9])), "lab", "data", TRUE)


async def test_a_small_manifest_goes_in_one_request() -> None:
    small = Manifest.of_leaves(Geometry(5, 1 << 18), bytes(LEAF_BYTES))
    tracker = Tracker(PAGES)
    await manifests.publish(session(tracker), "lab", "data", small)
    (request,) = tracker.asked
    assert isinstance(request, protocol_manifests.Publish)
    assert (request.leaves, request.pages) == (bytes(LEAF_BYTES), [])


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


async def test_a_name_is_taken_over_in_the_normal_form_that_the_group_has() -> None:
    tracker = Tracker(PAGES, spelling=DECOMPOSED)
    _, _, name = await manifests.fetch(session(tracker), "lab", COMPOSED)
    assert name == DECOMPOSED
    published = await manifests.publish(session(tracker), "lab", COMPOSED, TRUE)
    assert published.spelling == DECOMPOSED
    assert (await manifests.publish(session(Tracker(PAGES)), "lab", COMPOSED, TRUE)).spelling == COMPOSED


@pytest.mark.parametrize("spelling", ["data2", "DATA", "../data", ".", "data\n", "d\u0430ta"], ids=ascii)
async def test_a_tracker_does_not_choose_what_a_file_is_called(spelling: str) -> None:
    tracker = Tracker(PAGES, spelling=spelling)
    with pytest.raises(TrackerUnavailable, match="it is at fault"):
        await manifests.fetch(session(tracker), "lab", "data")
    with pytest.raises(TrackerUnavailable, match="it is at fault"):
        await manifests.publish(session(tracker), "lab", "data", TRUE)


async def test_a_spelling_that_no_disk_takes_is_refused() -> None:
    composed = "\u00e9" * 127
    tracker = Tracker(PAGES, spelling="e\u0301" * 127)
    with pytest.raises(TrackerUnavailable, match="255 bytes"):
        await manifests.fetch(session(tracker), "lab", composed)

"""A file's manifest on its way to and from the tracker, in pages if it is very large: a file of 1 TB has 2 MiB of
hashes.

Invariant: the length of every page is known before the first page is asked for, and nothing is a Manifest before all of
it matched its root.
"""

import hashlib

from msgspec.structs import replace

from engine.client.session import TrackerSession
from engine.client.spellings import is_same_name
from engine.coordinator.peer_links import PeerAddress
from engine.errors import TrackerUnavailable
from engine.storage.manifest import LEAF_BYTES, BadManifest, Manifest
from engine.swarm.geometry import BadGeometry, Geometry
from tracker.protocol import manifests, results
from tracker.protocol.names import BadName, check_file_name
from tracker.protocol.types import PAGE_BYTES

_ROUNDS_MAX = 3
"""A tracker forgets pages of an account that puts very many. Then they are put again, so many times at most."""


async def publish(session: TrackerSession, group_id: str, name: str, manifest: Manifest) -> manifests.Published:
    """Make the file known to the group; `spelling` in the answer is never empty. Raises RefusedByTracker,
    TrackerUnavailable.
    """
    geometry, leaves = manifest.geometry, manifest.leaves.tobytes()
    pages = [leaves[start : start + PAGE_BYTES] for start in range(0, len(leaves), PAGE_BYTES)]
    is_small = len(pages) <= 1
    digests = [] if is_small else [hashlib.sha256(page).digest() for page in pages]
    request = manifests.Publish(
        group_id, name, geometry.size_bytes, geometry.piece_bytes, manifest.root, leaves if is_small else b"", digests
    )
    for _ in range(1 + _ROUNDS_MAX):
        answer = await session.call(request, manifests.Published)
        if not answer.wanted:
            return replace(answer, spelling=_checked_spelling(name, answer.spelling or name))
        for number in answer.wanted:
            if number >= len(digests):
                raise TrackerUnavailable("the tracker asks for a page that the manifest has not; it is at fault")
            await session.call(manifests.PutPage(group_id, pages[number]), results.Done)
    raise TrackerUnavailable("the tracker cannot keep all pages of this manifest just now; try again later")


async def fetch(session: TrackerSession, group_id: str, name: str) -> tuple[Manifest, list[PeerAddress], str]:
    """The manifest, checked against its root; the peers that have the file; and its name as its publisher spelled it.
    Raises BadManifest, and like `publish`.
    """
    answer, peers = await session.fetch_manifest(group_id, name)
    spelling = _checked_spelling(name, answer.name)
    try:
        leaves_bytes = Geometry(answer.size_bytes, answer.piece_bytes).piece_count * LEAF_BYTES
    except BadGeometry as error:
        raise BadManifest(f"the manifest speaks of {error}; whoever published it is at fault") from error
    pages = [_checked(answer.leaves, 0, leaves_bytes)]
    for number in range(1, -(-leaves_bytes // PAGE_BYTES)):
        page = await session.call(manifests.FetchPage(group_id, name, answer.root, number), manifests.Page)
        pages.append(_checked(page.leaves, number, leaves_bytes))
    return Manifest.check(answer.size_bytes, answer.piece_bytes, b"".join(pages), answer.root), peers, spelling


def _checked_spelling(name: str, spelling: str) -> str:
    """A tracker may choose the normal form of a file's name here, and nothing else of it."""
    if not is_same_name(name, spelling):
        raise TrackerUnavailable("the tracker answered about a file of another name; it is at fault")
    try:
        return check_file_name(spelling)
    except BadName as error:
        raise TrackerUnavailable(f"the tracker spells the name in a way that cannot be: {error}") from error


def _checked(page: bytes, number: int, leaves_bytes: int) -> bytes:
    needed_bytes = min(PAGE_BYTES, leaves_bytes - number * PAGE_BYTES)
    if len(page) != needed_bytes:
        raise BadManifest(f"page {number} of the manifest has {len(page)} bytes, not {needed_bytes}; it is not valid")
    return page

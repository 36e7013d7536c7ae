"""Requests about the files of a group: listing, publishing, fetching manifests.

Invariant: a name stands for one content in a group, in whatever Unicode normal form it is typed, until it is withdrawn
or replaced (name_rights). A second content under the name is refused, and the sentence says whose the first one is.

Not here: who has a file right now (swarm), removing a name (name_rights).
"""

from tracker.protocol.events import Peer
from tracker.protocol.manifests import FetchManifest, FetchPage, Manifest, Page, Publish, Published, PutPage
from tracker.protocol.names import check_new_file_name
from tracker.protocol.requests import ListFiles
from tracker.protocol.results import Done, FileEntry, Files
from tracker.protocol.types import LEAF_BYTES, PAGE_BYTES, PIECE_COUNT_MAX
from tracker.rules import quotas
from tracker.rules.permissions import Refusal
from tracker.service.context import RequestContext
from tracker.service.handlers import handles
from tracker.service.name_rights import check_replaceable, free, no_such_file
from tracker.service.swarm import choose_peers
from tracker.store import files, manifest_pages


@handles(ListFiles, least_standing="member", is_change=False)
async def list_files(context: RequestContext, request: ListFiles) -> Files:
    presence, group_id = context.state.presence, context.group.group_id
    entries = []
    for file in await files.list_files(context.db, group_id):
        count = presence.count_sharers((group_id, file.root))
        entries.append(FileEntry(file.name, file.size_bytes, file.root, file.publisher, count.complete, count.partial))
    return Files(entries, group_id)


@handles(Publish, least_standing="member", is_change=True)
async def publish(context: RequestContext, request: Publish) -> Published:
    check_new_file_name(request.name)
    _check_geometry(request)
    new = files.NewFile(
        request.group_id, request.name, request.root, request.size_bytes, request.piece_bytes, request.leaves,
        request.pages,
    )  # fmt: skip
    alike = await files.list_alike(context.db, request.group_id, request.name)
    known = next((file for file in alike if file.name == request.name), alike[0] if alike else None)
    if known is not None and known.root == request.root and known.digest == new.digest():
        return Published(True, spelling="" if known.name == request.name else known.name)
    if known is not None:
        await check_replaceable(context, known, request.name, len(alike))
    wanted = await manifest_pages.list_wanted(
        context.db, context.user_id, request.pages, new.leaves_bytes, context.now_s
    )
    if wanted:
        return Published(False, wanted)
    if known is not None:
        await free(context, known)
    quotas.check_publisher(await files.add_file(context.db, new, context.user_id))
    return Published(False, has_replaced=known is not None)


@handles(FetchManifest, least_standing="member", is_change=False)
async def fetch_manifest(context: RequestContext, request: FetchManifest) -> Manifest:
    stored = await files.find_manifest(context.db, request.group_id, request.name)
    if stored is None:
        raise no_such_file(request.group_id, request.name)
    peers: list[Peer] = []
    if request.want:
        peers = await choose_peers(context, request.group_id, stored.root, request.want)
    return Manifest(*stored, peers)


@handles(PutPage, least_standing="member", is_change=True)
async def put_page(context: RequestContext, request: PutPage) -> Done:
    await manifest_pages.stage(context.db, context.user_id, request.leaves, context.now_s)
    return Done()


@handles(FetchPage, least_standing="member", is_change=False)
async def fetch_page(context: RequestContext, request: FetchPage) -> Page:
    known = await files.find_file(context.db, request.group_id, request.name)
    if known is None or known.root != request.root:
        raise no_such_file(request.group_id, request.name)
    leaves = await manifest_pages.find_page(context.db, known.digest, request.number)
    if leaves is None:
        raise Refusal("bad_request", f"the manifest of {request.name!r} has no page {request.number} of its own")
    return Page(leaves)


def _check_geometry(request: Publish) -> None:
    piece_bytes = request.piece_bytes
    if piece_bytes & (piece_bytes - 1):
        raise Refusal("bad_request", f"a piece has a power of two of bytes, not {piece_bytes}")
    piece_count = _piece_count(request)
    if piece_count > PIECE_COUNT_MAX:
        raise Refusal("too_large", f"{piece_count} pieces, {PIECE_COUNT_MAX} is the limit; use larger ones")
    leaves_bytes = piece_count * LEAF_BYTES
    if leaves_bytes > PAGE_BYTES:
        page_count = -(-leaves_bytes // PAGE_BYTES)
        if request.leaves or len(request.pages) != page_count:
            raise Refusal("bad_request", f"{piece_count} pieces need {page_count} pages of leaves, named each")
    elif request.pages or len(request.leaves) != leaves_bytes:
        raise Refusal(
            "bad_request",
            f"{piece_count} pieces need {leaves_bytes} bytes of leaves, not {len(request.leaves)}",
        )


def _piece_count(request: Publish) -> int:
    return -(-request.size_bytes // request.piece_bytes)

"""The messages by which manifests are published and fetched. Pure.

Leaves travel in pages of a mebibyte. A file with one page, which is every file but very large ones, is published and
described by one message; of a larger one each further page has a message of its own.

Invariant: no frame grows with the file.

Not here: what a manifest means for a download (engine.storage.manifest).
"""

from typing import Annotated

from msgspec import Meta, field

from tracker.protocol.events import Peer
from tracker.protocol.types import (
    LEAF_BYTES,
    PAGE_BYTES,
    PAGES_MAX,
    PEERS_WANTED_MAX,
    PIECE_BYTES_MAX,
    PIECE_BYTES_MIN,
    SIZE_BYTES_MAX,
    Digest,
    FileName,
    Id,
    Message,
    PageNumber,
    Root,
)


class Publish(Message, frozen=True, tag="publish"):
    """A file becomes known to a group. `leaves` is one 32-byte BLAKE3 per piece, in order, end to end.

    If they fill more than one page, `leaves` is empty and `pages` names each by its SHA-256, in order; `PutPage` brings
    those that the answer asks for, and the same request again completes it.
    """

    group_id: Id
    name: FileName
    size_bytes: Annotated[int, Meta(ge=0, le=SIZE_BYTES_MAX)]
    piece_bytes: Annotated[int, Meta(ge=PIECE_BYTES_MIN, le=PIECE_BYTES_MAX)]
    root: Root
    leaves: Annotated[bytes, Meta(max_length=PAGE_BYTES)]
    pages: Annotated[list[Digest], Meta(max_length=PAGES_MAX)] = field(default_factory=list)


class PutPage(Message, frozen=True, tag="put_page"):
    """A page of a manifest that this account is about to publish. It is kept for a while; putting it again changes
    nothing.
    """

    group_id: Id
    leaves: Annotated[bytes, Meta(min_length=LEAF_BYTES, max_length=PAGE_BYTES)]


class FetchManifest(Message, frozen=True, tag="fetch_manifest"):
    """Asks for up to `want` peers too, for a client that is about to fetch the file."""

    group_id: Id
    name: FileName
    want: Annotated[int, Meta(ge=0, le=PEERS_WANTED_MAX)] = 0


class FetchPage(Message, frozen=True, tag="fetch_page"):
    """Asks for one more page of the manifest of a file. `root` is that of the manifest whose first page was fetched."""

    group_id: Id
    name: FileName
    root: Root
    number: PageNumber


class Published(Message, frozen=True, tag="published"):
    """`was_known`: the group had the same content under this name already. The caller is another sharer now.

    `wanted`: nothing is published yet; the pages with these numbers are to be put first. `spelling`: the name as the
    group has it, if it is in another Unicode normal form. `has_replaced`: the name stood for another content before,
    which nobody else had any more.
    """

    was_known: bool
    wanted: Annotated[list[PageNumber], Meta(max_length=PAGES_MAX)] = field(default_factory=list)
    spelling: Annotated[str, Meta(max_length=255)] = ""
    has_replaced: bool = False


class Manifest(Message, frozen=True, tag="manifest"):
    """`name`: in the spelling of its publisher, which may be another Unicode normal form of the one that was asked for.

    `leaves`: the first page, which is all of them except for very large files.
    """

    name: FileName
    size_bytes: Annotated[int, Meta(ge=0, le=SIZE_BYTES_MAX)]
    piece_bytes: Annotated[int, Meta(ge=PIECE_BYTES_MIN, le=PIECE_BYTES_MAX)]
    root: Root
    leaves: Annotated[bytes, Meta(max_length=PAGE_BYTES)]
    publisher: Id
    peers: list[Peer] = []  # noqa: RUF012 (msgspec makes a new one each time)


class Page(Message, frozen=True, tag="page"):
    leaves: Annotated[bytes, Meta(max_length=PAGE_BYTES)]

"""The files of each group and their manifests, as SQL.

Invariant: a manifest, with its pages, is kept exactly as long as a file refers to it, once however many files do.

Not here: who has a file right now (presence), whether the caller may (permissions).
"""

import hashlib
from typing import NamedTuple

from sqlalchemy import bindparam, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.manifest_pages import find_page, settle
from tracker.protocol import FileEntry, Manifest, Publish
from tracker.schema import files, manifests

_ROOTS_IN_ONE_QUERY = 500
"""Databases bound the number of values in one statement; with more it is cheaper to read all."""

# Made once: putting these together takes longer than running them, and they are asked for every file.
_MANIFEST = (
    select(files, manifests.c.leaves)
    .join(manifests, manifests.c.digest == files.c.digest)
    .where(files.c.group_id == bindparam("of_group"), files.c.name == bindparam("of_name"))
)
_ROOTS = select(files.c.root).where(files.c.group_id == bindparam("of_group")).distinct()
_ROOTS_AMONG = _ROOTS.where(files.c.root.in_(bindparam("roots", expanding=True)))


class KnownFile(NamedTuple):
    """What conflicts are decided on."""

    root: bytes
    publisher: str
    digest: bytes


def digest_of(manifest: Publish) -> bytes:
    """Names a manifest by what it says: by its leaves, or by the digests of their pages."""
    head = manifest.root + manifest.size_bytes.to_bytes(8, "big") + manifest.piece_bytes.to_bytes(8, "big")
    return hashlib.sha256(head + (manifest.leaves or b"".join(manifest.pages))).digest()


async def find_file(db: AsyncConnection, group_id: str, name: str) -> KnownFile | None:
    row = (
        await db.execute(select(files).where(files.c.group_id == group_id, files.c.name == name))
    ).first()
    return None if row is None else KnownFile(row.root, row.publisher, row.digest)


async def list_files(db: AsyncConnection, group_id: str) -> list[FileEntry]:
    """By name."""
    rows = await db.execute(
        select(files.c.name, files.c.size_bytes, files.c.root, files.c.publisher)
        .where(files.c.group_id == group_id)
        .order_by(files.c.name)
    )
    return [FileEntry(row.name, row.size_bytes, row.root, row.publisher, 0) for row in rows]


async def known_roots(db: AsyncConnection, group_id: str, roots: set[bytes]) -> set[bytes]:
    """Those of `roots` that the group lists; of a long list, all that it lists."""
    if len(roots) <= _ROOTS_IN_ONE_QUERY:
        return set(await db.scalars(_ROOTS_AMONG, {"of_group": group_id, "roots": list(roots)}))
    return set(await db.scalars(_ROOTS, {"of_group": group_id}))


async def has_root(db: AsyncConnection, group_id: str, root: bytes) -> bool:
    query = select(files.c.name).where(files.c.group_id == group_id, files.c.root == root).limit(1)
    return await db.scalar(query) is not None


async def find_manifest(db: AsyncConnection, group_id: str, name: str) -> Manifest | None:
    row = (await db.execute(_MANIFEST, {"of_group": group_id, "of_name": name})).first()
    if row is None:
        return None
    leaves = row.leaves or await find_page(db, row.digest, 0) or b""
    return Manifest(row.name, row.size_bytes, row.piece_bytes, row.root, leaves, row.publisher)


async def add_file(db: AsyncConnection, request: Publish, publisher: str) -> None:
    digest = digest_of(request)
    if await db.scalar(select(manifests.c.digest).where(manifests.c.digest == digest)) is None:
        await db.execute(manifests.insert().values(digest=digest, leaves=request.leaves))
        await settle(db, publisher, digest, request.pages)
    await db.execute(
        files.insert().values(
            group_id=request.group_id,
            name=request.name,
            root=request.root,
            size_bytes=request.size_bytes,
            piece_bytes=request.piece_bytes,
            publisher=publisher,
            digest=digest,
        )
    )


async def remove_file(db: AsyncConnection, group_id: str, name: str) -> None:
    await db.execute(delete(files).where(files.c.group_id == group_id, files.c.name == name))
    await remove_unused_manifests(db)


async def remove_unused_manifests(db: AsyncConnection) -> None:
    in_use = exists().where(files.c.digest == manifests.c.digest)
    await db.execute(delete(manifests).where(~in_use))

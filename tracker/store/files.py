"""The files of each group and their manifests, as SQL.

Invariants. A file is found by its name in any Unicode normal form (names.normal_file_name), and keeps the spelling of
its first publisher. A manifest with its pages is kept once, however many files refer to it, and exactly as long as one
does. A publisher's account holds the number of its files and the size of their manifests.

Not here: who has a file right now (rules.presence), whether the caller may (rules.permissions).
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.names import choose_spelling, normal_file_name
from tracker.protocol.types import LEAF_BYTES
from tracker.rules.quotas import PublishedTotals
from tracker.store.insert_if_free import insert_if_free
from tracker.store.manifest_pages import find_page, settle
from tracker.store.schema import accounts, files, manifests

_ROOTS_IN_ONE_QUERY = 500
"""Databases bound the number of values in one statement. For more roots it is cheaper to read all."""

# Made once: putting these together takes longer than running them, and they are asked for every file.
_ALIKE = select(files.c.name, files.c.root, files.c.publisher, files.c.digest).where(
    files.c.group_id == bindparam("of_group"), files.c.normal == bindparam("normal")
)
_MANIFEST = (
    select(files, manifests.c.leaves)
    .join(manifests, manifests.c.digest == files.c.digest)
    .where(files.c.group_id == bindparam("of_group"), files.c.normal == bindparam("normal"))
)
_ADD_FILE = files.insert()
_ROOTS = select(files.c.root).where(files.c.group_id == bindparam("of_group")).distinct()
_ROOTS_AMONG = _ROOTS.where(files.c.root.in_(bindparam("roots", expanding=True)))

_LEAVES_BYTES = (files.c.size_bytes + files.c.piece_bytes - 1) // files.c.piece_bytes * LEAF_BYTES
_COUNT_UP = (
    update(accounts)
    .where(accounts.c.user_id == bindparam("of_user"))
    .values(
        files_published=accounts.c.files_published + bindparam("more_files"),
        manifest_bytes=accounts.c.manifest_bytes + bindparam("more_bytes"),
    )
    .returning(accounts.c.files_published, accounts.c.manifest_bytes)
)


class KnownFile(NamedTuple):
    """A file of a group, with what a second publication of its name is judged by."""

    name: str
    root: bytes
    publisher: str
    digest: bytes


class ListedFile(NamedTuple):
    name: str
    size_bytes: int
    root: bytes
    publisher: str


class StoredManifest(NamedTuple):
    """`leaves` is the first page of them."""

    name: str
    size_bytes: int
    piece_bytes: int
    root: bytes
    leaves: bytes
    publisher: str


class NewFile(NamedTuple):
    """A file with its manifest. One of `leaves` and `pages` (the digests of the pages of the leaves) is empty."""

    group_id: str
    name: str
    root: bytes
    size_bytes: int
    piece_bytes: int
    leaves: bytes
    pages: Sequence[bytes]

    @property
    def leaves_bytes(self) -> int:
        return -(-self.size_bytes // self.piece_bytes) * LEAF_BYTES

    def digest(self) -> bytes:
        """Names the manifest by its content: its leaves, or the digests of their pages."""
        head = self.root + self.size_bytes.to_bytes(8, "big") + self.piece_bytes.to_bytes(8, "big")
        return hashlib.sha256(head + (self.leaves or b"".join(self.pages))).digest()


async def list_alike(db: AsyncConnection, group_id: str, name: str) -> list[KnownFile]:
    """The files of this name in any normal form: at most one, unless they are older than the comparison of forms."""
    rows = await db.execute(_ALIKE, {"of_group": group_id, "normal": normal_file_name(name)})
    return [KnownFile(row.name, row.root, row.publisher, row.digest) for row in rows]


async def find_file(db: AsyncConnection, group_id: str, name: str) -> KnownFile | None:
    alike = await list_alike(db, group_id, name)
    spelling = choose_spelling(name, [known.name for known in alike])
    return next((known for known in alike if known.name == spelling), None)


async def list_files(db: AsyncConnection, group_id: str) -> list[ListedFile]:
    """In the order of their names."""
    rows = await db.execute(
        select(files.c.name, files.c.size_bytes, files.c.root, files.c.publisher)
        .where(files.c.group_id == group_id)
        .order_by(files.c.name)
    )
    return [ListedFile(row.name, row.size_bytes, row.root, row.publisher) for row in rows]


async def known_roots(db: AsyncConnection, group_id: str, roots: set[bytes]) -> set[bytes]:
    """Those of `roots` that the group lists. If `roots` is long, everything that the group lists."""
    if len(roots) <= _ROOTS_IN_ONE_QUERY:
        return set(await db.scalars(_ROOTS_AMONG, {"of_group": group_id, "roots": list(roots)}))
    return set(await db.scalars(_ROOTS, {"of_group": group_id}))


async def has_root(db: AsyncConnection, group_id: str, root: bytes) -> bool:
    query = select(files.c.name).where(files.c.group_id == group_id, files.c.root == root).limit(1)
    return await db.scalar(query) is not None


async def find_manifest(db: AsyncConnection, group_id: str, name: str) -> StoredManifest | None:
    rows = (await db.execute(_MANIFEST, {"of_group": group_id, "normal": normal_file_name(name)})).all()
    spelling = choose_spelling(name, [row.name for row in rows])
    row = next((row for row in rows if row.name == spelling), None)
    if row is None:
        return None
    leaves = row.leaves or await find_page(db, row.digest, 0) or b""
    return StoredManifest(row.name, row.size_bytes, row.piece_bytes, row.root, leaves, row.publisher)


async def add_file(db: AsyncConnection, new: NewFile, publisher: str) -> PublishedTotals:
    """Returns what this account has published now, with this file."""
    digest = new.digest()
    if await insert_if_free(db, manifests, {"digest": digest, "leaves": new.leaves}):
        await settle(db, publisher, digest, new.pages)
    row = {
        "group_id": new.group_id, "name": new.name, "normal": normal_file_name(new.name), "apart": "", "root": new.root,
        "size_bytes": new.size_bytes, "piece_bytes": new.piece_bytes, "publisher": publisher, "digest": digest,
    }  # fmt: skip
    await db.execute(_ADD_FILE, row)
    return await _count_up(db, publisher, PublishedTotals(1, new.leaves_bytes))


async def remove_file(db: AsyncConnection, group_id: str, name: str) -> None:
    await _remove(db, files.c.group_id == group_id, files.c.name == name)


async def remove_files_of(db: AsyncConnection, group_id: str) -> None:
    """Removes all files of a group that is about to end."""
    await _remove(db, files.c.group_id == group_id)


async def _remove(db: AsyncConnection, *which: ColumnElement[bool]) -> None:
    lost = select(files.c.publisher, func.count(), func.sum(_LEAVES_BYTES)).where(*which).group_by(files.c.publisher)
    for publisher, count, leaves_bytes in (await db.execute(lost)).all():
        await _count_up(db, publisher, PublishedTotals(-count, -int(leaves_bytes)))
    await db.execute(delete(files).where(*which))
    in_use = exists().where(files.c.digest == manifests.c.digest)
    await db.execute(delete(manifests).where(~in_use))


async def _count_up(db: AsyncConnection, publisher: str, more: PublishedTotals) -> PublishedTotals:
    change = {"of_user": publisher, "more_files": more.files, "more_bytes": more.manifest_bytes}
    row = (await db.execute(_COUNT_UP, change)).one()
    return PublishedTotals(row.files_published, row.manifest_bytes)

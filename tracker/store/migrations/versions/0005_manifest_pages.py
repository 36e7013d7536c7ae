"""Manifests of more than a mebibyte are kept in pages, and named by the digests of these."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_PAGE_BYTES = 1 << 20


def upgrade() -> None:
    of_manifest = sa.ForeignKey("manifests.digest", ondelete="CASCADE")
    op.create_table(
        "pages",
        sa.Column("digest", sa.LargeBinary, of_manifest, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("leaves", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "staged_pages",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("page_digest", sa.LargeBinary, primary_key=True),
        sa.Column("leaves", sa.LargeBinary, nullable=False),
        sa.Column("put_at_s", sa.Double, nullable=False),
    )
    op.create_index("staged_pages_by_age", "staged_pages", ["put_at_s"])
    _cut_large_manifests(op.get_bind())


def _cut_large_manifests(connection: sa.Connection) -> None:
    large = sa.text(
        "SELECT DISTINCT manifests.digest, root, size_bytes, piece_bytes FROM manifests"
        " JOIN files ON files.digest = manifests.digest WHERE length(leaves) > :page"
    )
    for old, root, size_bytes, piece_bytes in connection.execute(large, {"page": _PAGE_BYTES}).all():
        leaves = connection.scalar(sa.text("SELECT leaves FROM manifests WHERE digest = :old"), {"old": old})
        assert leaves is not None
        pages = [leaves[start : start + _PAGE_BYTES] for start in range(0, len(leaves), _PAGE_BYTES)]
        head = root + size_bytes.to_bytes(8, "big") + piece_bytes.to_bytes(8, "big")
        new = hashlib.sha256(head + b"".join(hashlib.sha256(page).digest() for page in pages)).digest()
        connection.execute(sa.text("INSERT INTO manifests VALUES (:new, :empty)"), {"new": new, "empty": b""})
        for number, page in enumerate(pages):
            row = {"new": new, "number": number, "page": page}
            connection.execute(sa.text("INSERT INTO pages VALUES (:new, :number, :page)"), row)
        connection.execute(sa.text("UPDATE files SET digest = :new WHERE digest = :old"), {"new": new, "old": old})
        connection.execute(sa.text("DELETE FROM manifests WHERE digest = :old"), {"old": old})

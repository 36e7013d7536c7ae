"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(meta, [{"key": "schema", "value": b"shoal tracker 1"}])
    op.bulk_insert(counters, [{"name": "epoch", "value": 0}])
    _make_people()
    _make_files()
    op.create_table(
        "outcomes",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.LargeBinary, primary_key=True),
        sa.Column("reply", sa.LargeBinary, nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
    )
    op.create_index("outcomes_by_age", "outcomes", ["at_s"])


def _make_people() -> None:
    op.create_table(
        "accounts",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at_s", sa.Double, nullable=False),
    )
    op.create_table(
        "groups",
        sa.Column("group_id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, sa.ForeignKey("accounts.user_id"), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    for table, when in (("members", "joined_at_s"), ("requests", "asked_at_s")):
        op.create_table(
            table,
            sa.Column("group_id", sa.Text, sa.ForeignKey("groups.group_id", ondelete="CASCADE"), primary_key=True),
            sa.Column("user_id", sa.Text, sa.ForeignKey("accounts.user_id"), primary_key=True),
            sa.Column(when, sa.Double, nullable=False),
        )
    op.create_index("members_by_user", "members", ["user_id"])


def _make_files() -> None:
    op.create_table(
        "manifests",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("leaves", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "files",
        sa.Column("group_id", sa.Text, sa.ForeignKey("groups.group_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("piece_bytes", sa.Integer, nullable=False),
        sa.Column("publisher", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, sa.ForeignKey("manifests.digest"), nullable=False),
    )
    op.create_index("files_by_root", "files", ["group_id", "root"])
    op.create_index("files_by_digest", "files", ["digest"])

"""Ids are compared without case, file names without their normal form. Names that clash already go on, kept apart."""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for table in ("accounts", "groups"):
        op.add_column(table, sa.Column("folded", sa.Text, nullable=False, server_default=""))
        op.add_column(table, sa.Column("apart", sa.Text, nullable=False, server_default=""))
    op.add_column("files", sa.Column("normal", sa.Text, nullable=False, server_default=""))
    op.add_column("files", sa.Column("apart", sa.Text, nullable=False, server_default=""))
    _fold_ids("accounts", "user_id")
    _fold_ids("groups", "group_id")
    _normalize_names()
    op.create_index("accounts_by_folded", "accounts", ["folded", "apart"], unique=True)
    op.create_index("groups_by_folded", "groups", ["folded", "apart"], unique=True)
    op.create_index("files_by_normal", "files", ["group_id", "normal", "apart"], unique=True)


def _fold_ids(table: str, column: str) -> None:
    connection = op.get_bind()
    change = sa.text(f"UPDATE {table} SET folded = :folded, apart = :apart WHERE {column} = :id")
    for (each,) in connection.execute(sa.text(f"SELECT {column} FROM {table}")).all():
        folded = _folded(each)
        connection.execute(change, {"id": each, "folded": folded, "apart": "" if folded == each else each})


def _folded(value: str) -> str:
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", value).casefold())
    return unicodedata.normalize("NFKD", once.casefold())


def _normalize_names() -> None:
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE files SET normal = name"))
    change = sa.text("UPDATE files SET normal = :normal, apart = :name WHERE group_id = :group_id AND name = :name")
    for group_id, name in connection.execute(sa.text("SELECT group_id, name FROM files")).all():
        normal = unicodedata.normalize("NFC", name)
        if normal != name:
            connection.execute(change, {"group_id": group_id, "name": name, "normal": normal})

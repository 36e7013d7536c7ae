"""What an account has published is counted; what it owns and asks for has indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("files_published", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("accounts", sa.Column("manifest_bytes", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(
        "UPDATE accounts SET files_published = (SELECT count(*) FROM files WHERE publisher = user_id),"
        " manifest_bytes = (SELECT coalesce(sum((size_bytes + piece_bytes - 1) / piece_bytes * 32), 0)"
        " FROM files WHERE publisher = user_id)"
    )
    op.create_index("groups_by_owner", "groups", ["owner"])
    op.create_index("requests_by_user", "requests", ["user_id"])

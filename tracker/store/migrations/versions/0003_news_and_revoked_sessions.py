"""News of changes is kept for the other trackers; accounts count how often their sessions were revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "news",
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("origin", sa.LargeBinary, nullable=False),
        sa.Column("recipients", sa.LargeBinary, nullable=False),
        sa.Column("fact", sa.LargeBinary, nullable=False),
    )
    op.create_index("news_by_age", "news", ["at_s"])
    counters = sa.table("counters", sa.column("name"), sa.column("value"))
    op.bulk_insert(counters, [{"name": "news", "value": 0}])

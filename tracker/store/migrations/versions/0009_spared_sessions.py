"""Which session revoked the others is known for good, so that it goes on though the answer to that was lost."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("spared", sa.LargeBinary))

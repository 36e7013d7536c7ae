"""The account remembers which session revoked the others, so that it goes on even if the answer was lost."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("spared", sa.LargeBinary))

"""The key that signs tickets can be replaced by another one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "ticket_keys",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("key_pem", sa.LargeBinary, nullable=False),
        sa.Column("signs_from_s", sa.Double, nullable=False),
    )
    op.execute("INSERT INTO ticket_keys (key_pem, signs_from_s) SELECT value, 0 FROM meta WHERE key = 'ticket_key'")
    op.execute("DELETE FROM meta WHERE key = 'ticket_key'")

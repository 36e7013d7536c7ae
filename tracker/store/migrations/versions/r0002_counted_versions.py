"""The version is counted by Alembic from now on. Older programs refuse the database instead of guessing."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("DELETE FROM meta WHERE key = 'schema'")

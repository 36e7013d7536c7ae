"""The numbered steps that bring a tracker's database to the tables of this program (Alembic)."""

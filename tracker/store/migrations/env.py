"""Run by Alembic: how the steps get at the database, which is the connection and transaction of whoever called."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()

"""What Alembic runs around the migrations: they go over the one connection that the ledger gives."""

from alembic import context

from nas.ledger.migrate import VERSION_TABLE
from nas.ledger.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    # SQLite can roll DDL back, which Alembic does not assume; a failed upgrade must leave nothing.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

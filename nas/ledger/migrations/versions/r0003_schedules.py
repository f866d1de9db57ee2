"""Note with each measurement how its kernel was made."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("measurements", sa.Column("schedule", sa.String(64), nullable=False, server_default=""))

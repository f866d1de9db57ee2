"""How much machine code a kernel has."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("measurements", sa.Column("code_bytes", sa.Integer()))

"""Which kernels of a trial's prediction were estimated, as they had never been measured."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("trials", sa.Column("estimated", sa.JSON(none_as_null=True)))

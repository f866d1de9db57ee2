"""What further objectives say of a trial, and how many epochs it is trained where the algorithm says so."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns."""
    op.add_column("trials", sa.Column("costs", sa.JSON()))
    op.add_column("trials", sa.Column("budget", sa.Integer()))

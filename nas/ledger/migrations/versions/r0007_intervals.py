"""How sure the time of a trial's whole network is: its interval, and what disturbed the machine."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("trials", sa.Column("measured_low_ms", sa.Double()))
    op.add_column("trials", sa.Column("measured_high_ms", sa.Double()))
    op.add_column("trials", sa.Column("measured_disturbed", sa.Text()))

"""The interval of a trial's predicted latency, and how long the trial was measured."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add three columns."""
    for name in ("latency_low_ms", "latency_high_ms", "measuring_s"):
        op.add_column("trials", sa.Column(name, sa.Double()))

"""From which trials a trial was bred, what its network gets wrong, and when an artifact was verified."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns and a table; nothing is known of what is there."""
    op.add_column("trials", sa.Column("parents", sa.JSON()))
    op.add_column("artifacts", sa.Column("verified_at", sa.DateTime(timezone=True)))
    op.create_table(
        "predictions",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_predictions_trial_id_trials")),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_predictions")),
    )

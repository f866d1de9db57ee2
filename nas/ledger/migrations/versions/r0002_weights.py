"""Create the weights of complete trials."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "weights",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("tensors", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", name="pk_weights"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_weights_trial_id_trials"),
    )

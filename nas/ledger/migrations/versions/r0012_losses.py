"""How each worker was lost in a trial, in place of how often one died."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns for one; the deaths of trials that run now are forgotten."""
    op.add_column("trials", sa.Column("losses", sa.JSON()))
    op.add_column("trials", sa.Column("doubt", sa.Integer(), nullable=False, server_default="0"))
    op.drop_column("trials", "deaths")

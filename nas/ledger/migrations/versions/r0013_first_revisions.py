"""What ledgers lack that were made by the first form of 0010, which was changed after it had landed."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SQLITE_EDITS = (
    ("trials", "same_as INTEGER", "same_as TEXT"),
    ("epochs", "train_loss DOUBLE NOT NULL", "train_loss DOUBLE"),
    ("epochs", "accuracy DOUBLE NOT NULL", "accuracy DOUBLE"),
)


def upgrade() -> None:
    """Add a column and an index, and let an epoch have neither loss nor accuracy; others have all that."""
    there = sa.inspect(op.get_bind())
    if "reported" in {column["name"] for column in there.get_columns("epochs")}:
        return
    op.add_column("epochs", sa.Column("reported", sa.JSON()))
    if op.get_bind().dialect.name == "sqlite":
        _edit_sqlite()
    else:
        op.alter_column("trials", "same_as", type_=sa.Text())
        op.alter_column("epochs", "train_loss", nullable=True)
        op.alter_column("epochs", "accuracy", nullable=True)
    op.create_index(op.f("ix_trials_search_id_digest"), "trials", ["search_id", "digest"])


def _edit_sqlite() -> None:
    """Edit the stored text, as 0010 does."""
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    edit = sa.text("UPDATE sqlite_master SET sql = replace(sql, :before, :now) WHERE name = :name")
    for name, before, now in SQLITE_EDITS:
        op.execute(edit.bindparams(name=name, before=before, now=now))
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")

"""What changed since a reader looked last, paused trials, and results that were taken over or passed over."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATES = "'queued', 'running', 'paused', 'complete', 'infeasible', 'pruned', 'failed'"
SQLITE_EDITS = (
    ("trials", "'queued', 'running', 'complete'", "'queued', 'running', 'paused', 'complete'"),
    ("epochs", "train_loss DOUBLE NOT NULL", "train_loss DOUBLE"),
    ("epochs", "accuracy DOUBLE NOT NULL", "accuracy DOUBLE"),
)


def upgrade() -> None:
    """Add columns, indices and a table; trials may be paused. What is there counts as one change."""
    op.add_column("searches", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("searches", sa.Column("ended", sa.Text()))
    op.add_column("trials", sa.Column("epochs_done", sa.Integer()))
    op.add_column("trials", sa.Column("accuracies", sa.JSON()))
    op.add_column("trials", sa.Column("same_as", sa.Text()))
    op.add_column("trials", sa.Column("passed_over", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("trials", sa.Column("passed_samples", sa.JSON()))
    op.add_column("trials", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("epochs", sa.Column("reported", sa.JSON()))
    if op.get_bind().dialect.name == "sqlite":
        _edit_sqlite()
    else:
        op.drop_constraint(op.f("ck_trials_state"), "trials", type_="check")
        op.create_check_constraint(op.f("ck_trials_state"), "trials", f"state IN ({STATES})")
        op.alter_column("epochs", "train_loss", nullable=True)
        op.alter_column("epochs", "accuracy", nullable=True)
    op.create_index(op.f("ix_trials_search_id_revision"), "trials", ["search_id", "revision"])
    op.create_index(op.f("ix_trials_search_id_state_number"), "trials", ["search_id", "state", "number"])
    op.create_index(op.f("ix_trials_search_id_digest"), "trials", ["search_id", "digest"])
    op.create_table(
        "checkpoints",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("tensors", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_checkpoints_trial_id_trials")),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_checkpoints")),
    )
    op.execute("UPDATE trials SET revision = 1 WHERE digest IS NOT NULL")
    op.execute("UPDATE searches SET revision = 1")


def _edit_sqlite() -> None:
    """Widen the check of states, and let an epoch have neither loss nor accuracy.

    SQLite can only by a copy of a table, which others refer to. Its manual's way to change a check, or to
    drop a NOT NULL, is to edit the stored text (ALTER TABLE, "Making Other Kinds Of Table Schema Changes").
    """
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    edit = sa.text("UPDATE sqlite_master SET sql = replace(sql, :before, :now) WHERE name = :name")
    for name, before, now in SQLITE_EDITS:
        op.execute(edit.bindparams(name=name, before=before, now=now))
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")

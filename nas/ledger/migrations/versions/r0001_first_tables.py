"""Create searches, trials, epochs, devices, measurements and artifacts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not imported: a migration stays what it was when the tables go on changing.
STATES = "'queued', 'running', 'complete', 'infeasible', 'pruned', 'failed'"


def upgrade() -> None:
    """Create the tables."""
    _create_searches()
    _create_trials()
    _create_measurements()
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_artifacts_trial_id_trials"),
    )


def _create_searches() -> None:
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_searches"),
        sa.UniqueConstraint("name", name="uq_searches_name"),
    )


def _create_trials() -> None:
    op.create_table(
        "trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("search_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("choices", sa.JSON()),
        sa.Column("architecture", sa.Text()),
        sa.Column("digest", sa.String(64)),
        sa.Column("latency_ms", sa.Double()),
        sa.Column("latency_by_workload", sa.JSON()),
        sa.Column("size_kb", sa.Double()),
        sa.Column("accuracy", sa.Double()),
        sa.Column("measured_latency_ms", sa.Double()),
        sa.Column("error", sa.Text()),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.ForeignKeyConstraint(["search_id"], ["searches.id"], name="fk_trials_search_id_searches"),
        sa.UniqueConstraint("search_id", "number", name="uq_trials_search_id_number"),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_trials_state")),
    )
    op.create_table(
        "epochs",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("train_loss", sa.Double(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "epoch", name="pk_epochs"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name="fk_epochs_trial_id_trials"),
    )


def _create_measurements() -> None:
    op.create_table(
        "devices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("target", sa.Text()),
        sa.Column("description", sa.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("name", name="uq_devices_name"),
    )
    op.create_table(
        "measurements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("workload", sa.Text(), nullable=False),
        sa.Column("milliseconds", sa.Double(), nullable=False),
        sa.Column("iqr_ms", sa.Double(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("date", sa.String(64), nullable=False),
        sa.Column("tvm_version", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_measurements"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_measurements_device_id_devices"),
    )
    op.create_index("ix_measurements_device_id_workload", "measurements", ["device_id", "workload"])


def downgrade() -> None:
    """Drop the tables, those that refer to others first."""
    for table in ("artifacts", "measurements", "devices", "epochs", "trials", "searches"):
        op.drop_table(table)

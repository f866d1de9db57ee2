"""Devices by name, timings of whole networks, and under what conditions each timing was taken."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables and two columns."""
    op.add_column("measurements", sa.Column("cold_ms", sa.Double()))
    op.add_column("measurements", sa.Column("conditions", sa.JSON(none_as_null=True)))
    op.create_table(
        "known_devices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("description", sa.JSON(none_as_null=True)),
        sa.Column("probed_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_known_devices"),
        sa.UniqueConstraint("name", name="uq_known_devices_name"),
    )
    op.create_table(
        "network_measurements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("workloads", sa.JSON(), nullable=False),
        sa.Column("milliseconds", sa.Double(), nullable=False),
        sa.Column("iqr_ms", sa.Double(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("date", sa.String(64), nullable=False),
        sa.Column("tvm_version", sa.String(64), nullable=False),
        sa.Column("conditions", sa.JSON(none_as_null=True)),
        sa.PrimaryKeyConstraint("id", name="pk_network_measurements"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_network_measurements_device_id_devices"
        ),
    )
    op.create_index("ix_network_measurements_device_id", "network_measurements", ["device_id"])

"""The ledger's SQL tables as SQLAlchemy classes; migrations/ creates the same ones step by step."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from nas.ledger.records import TrialState

STATES = ", ".join(f"'{state.value}'" for state in TrialState)


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is aware and in UTC on both sides, also where the database drops the zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time to UTC; a naive one is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger stores aware times only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class StateText(TypeDecorator[TrialState]):
    """A trial's state as its text, so that every database keeps it alike."""

    impl = String(16)
    cache_ok = True

    def process_bind_param(self, value: TrialState | None, dialect: Dialect) -> str | None:
        """The state's text."""
        return None if value is None else TrialState(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> TrialState | None:
        """The state."""
        return None if value is None else TrialState(value)


class Number(TypeDecorator[float]):
    """A number, also where the database lets any value into its column (SQLite)."""

    impl = Double
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        """The number; ValueError where it is none."""
        if value is not None and not isinstance(value, float | int):
            raise ValueError(f"{value!r} is no number")
        return value


class Base(DeclarativeBase):
    """All tables of the ledger; constraints have fixed names so that migrations can refer to them."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Number}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Search(Base):
    """One search and what it was asked for.

    ``revision`` grows with every change of one of its trials, which takes its number from there; ``ended``
    says why it has ended before all its trials were run, ``origin`` what it was made with.
    """

    __tablename__ = "searches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    ended: Mapped[str | None] = mapped_column(Text)
    origin: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Trial(Base):
    """One trial. ``owner``, ``expires_at`` and ``fence`` are its lease; see claims.py. ``losses`` are the
    workers that were lost in it, ``doubt`` is what follows; see losses.py.

    ``revision`` is that of the search when the trial changed last; see history.py.
    """

    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("search_id", "number"),
        Index(None, "search_id", "revision"),
        Index(None, "search_id", "state", "number"),
        Index(None, "search_id", "digest"),
        CheckConstraint(f"state IN ({STATES})", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("searches.id"))
    number: Mapped[int]
    state: Mapped[TrialState] = mapped_column(StateText)

    owner: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fence: Mapped[int] = mapped_column(default=0)
    losses: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    doubt: Mapped[int] = mapped_column(default=0, server_default="0")

    choices: Mapped[dict[str, str | int] | None] = mapped_column(JSON(none_as_null=True))
    parents: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    architecture: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str | None] = mapped_column(String(64))
    latency_ms: Mapped[float | None]
    latency_by_workload: Mapped[list[tuple[str, float]] | None] = mapped_column(JSON(none_as_null=True))
    latency_low_ms: Mapped[float | None]
    latency_high_ms: Mapped[float | None]
    estimated: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    measuring_s: Mapped[float | None]
    costs: Mapped[dict[str, dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    budget: Mapped[int | None]
    epochs_done: Mapped[int | None]
    accuracies: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    same_as: Mapped[str | None] = mapped_column(Text)
    passed_over: Mapped[int] = mapped_column(default=0, server_default="0")
    passed_samples: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    size_kb: Mapped[float | None]
    accuracy: Mapped[float | None]
    measured_latency_ms: Mapped[float | None]
    measured_low_ms: Mapped[float | None]
    measured_high_ms: Mapped[float | None]
    measured_disturbed: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WorkerRow(Base):
    """A worker of a search: since when, what it does beside trials, and its last sign of life."""

    __tablename__ = "workers"
    __table_args__ = (UniqueConstraint("search_id", "owner"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("searches.id"))
    owner: Mapped[str] = mapped_column(String(255))
    versions: Mapped[dict[str, str]] = mapped_column(JSON)
    stage: Mapped[str] = mapped_column(Text)
    joined_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Epoch(Base):
    """One epoch of one trial's training."""

    __tablename__ = "epochs"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    train_loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    seconds: Mapped[float]
    reported: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))


class Weights(Base):
    """What a complete trial's training ended with: the network's tensors as a safetensors file."""

    __tablename__ = "weights"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    tensors: Mapped[bytes] = mapped_column(LargeBinary)


class PredictionsRow(Base):
    """What a complete trial's network gets wrong (``nas.ledger.mistakes.Predictions``)."""

    __tablename__ = "predictions"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    summary: Mapped[dict[str, Any]] = mapped_column(JSON)


class Checkpoint(Base):
    """Where the training of a paused trial goes on: a file of ``nas.training.checkpoint`` after ``epoch``."""

    __tablename__ = "checkpoints"

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    epoch: Mapped[int]
    tensors: Mapped[bytes] = mapped_column(LargeBinary)


class DeviceRow(Base):
    """A device that something was measured on; ``description`` is its cpu, features and versions."""

    __tablename__ = "devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    target: Mapped[str | None] = mapped_column(Text)
    description: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MeasurementRow(Base):
    """One timing of one workload on one device; rows are only ever added, the newest counts."""

    __tablename__ = "measurements"
    __table_args__ = (Index(None, "device_id", "workload"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    workload: Mapped[str] = mapped_column(Text)
    milliseconds: Mapped[float]
    iqr_ms: Mapped[float]
    samples: Mapped[int]
    date: Mapped[str] = mapped_column(String(64))
    tvm_version: Mapped[str] = mapped_column(String(64))
    schedule: Mapped[str] = mapped_column(String(64), server_default="")
    cold_ms: Mapped[float | None]
    code_bytes: Mapped[int | None]
    conditions: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class NetworkMeasurementRow(Base):
    """One timing of one whole network on one device; ``workloads`` are the keys of its kernels, in order."""

    __tablename__ = "network_measurements"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(16))
    workloads: Mapped[list[str]] = mapped_column(JSON)
    milliseconds: Mapped[float]
    iqr_ms: Mapped[float]
    samples: Mapped[int]
    date: Mapped[str] = mapped_column(String(64))
    tvm_version: Mapped[str] = mapped_column(String(64))
    conditions: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class KnownDevice(Base):
    """A device added by name; ``record`` says how it is reached, ``description`` what was found there."""

    __tablename__ = "known_devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    record: Mapped[dict[str, Any]] = mapped_column(JSON)
    description: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    probed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Artifact(Base):
    """A compiled network that was written from a trial; ``verified_at`` is when it was last found right."""

    __tablename__ = "artifacts"

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    path: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

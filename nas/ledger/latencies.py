"""The latency table that is kept in the ledger: what was measured on which device, and when."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from latency.model.table import CALIBRATION, LatencyTable
from nas.ledger.away import patient
from nas.ledger.entries import check_finite
from nas.ledger.store import Ledger
from nas.ledger.tables import Base, DeviceRow, MeasurementRow, NetworkMeasurementRow

if TYPE_CHECKING:
    from latency import Measurement
    from latency.model.table import NetworkMeasurement
    from latency.model.table_file import Line


TIMING = {"milliseconds", "iqr_ms", "samples", "date", "tvm_version", "conditions"}
"""What kernels and networks share, by the names of a measurement and of the columns."""


class SqlLatencyTable(LatencyTable):
    """A ``latency.LatencyTable`` in SQL. Measurements are only ever added; the newest one counts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._device_ids: dict[str, int] = {}

    @patient
    def get(self, device: str, workload_key: str) -> "Measurement | None":
        """The newest measurement of a workload on a device; None when there is none."""
        newest = (
            select(MeasurementRow)
            .join(DeviceRow, DeviceRow.id == MeasurementRow.device_id)
            .where(DeviceRow.name == device, MeasurementRow.workload == workload_key)
            .order_by(MeasurementRow.id.desc())
            .limit(1)
        )
        with self._ledger.reading() as session:
            row = session.scalar(newest)
        return None if row is None else measurement_of(row)

    @patient
    def put(self, device: str, workload_key: str, measurement: "Measurement") -> None:
        """Add a measurement; ValueError when it is not finite."""
        check_finite(milliseconds=measurement.milliseconds, iqr_ms=measurement.iqr_ms)
        row = {
            "device_id": self._device_id(device),
            "workload": workload_key,
            "schedule": measurement.schedule,
            "cold_ms": measurement.cold_ms,
            "code_bytes": measurement.code_bytes,
            **_timing(measurement),
        }
        with self._ledger.writing() as session:
            _add(session, MeasurementRow, row, ("device_id", "workload", "date", "milliseconds"))

    def put_lines(self, lines: "Sequence[Line]") -> None:
        """Add lines of another ledger's table, all or none; they were checked when they were read."""
        ids = {device: self._device_id(device) for device in {line.device for line in lines}}
        with self._ledger.writing() as session:
            for line in lines:
                shared = {"device_id": ids[line.device], **line.model_dump(include=TIMING)}
                if line.network is None:
                    kernel = line.model_dump(include={"workload", "schedule", "cold_ms", "code_bytes"})
                    session.execute(insert(MeasurementRow).values(**shared, **kernel))
                else:
                    network = {"purpose": CALIBRATION, "workloads": line.network}
                    session.execute(insert(NetworkMeasurementRow).values(**shared, **network))

    @patient
    def rows(self, device: str) -> "dict[str, Measurement]":
        """The newest measurement of every workload on a device, by the workload's key."""
        mine = (
            select(MeasurementRow)
            .join(DeviceRow, DeviceRow.id == MeasurementRow.device_id)
            .where(DeviceRow.name == device)
            .order_by(MeasurementRow.id)
        )
        with self._ledger.reading() as session:
            return {row.workload: measurement_of(row) for row in session.scalars(mine)}

    @patient
    def networks(self, device: str, purpose: str = CALIBRATION) -> "list[NetworkMeasurement]":
        """The whole networks that were timed on a device for a purpose, the oldest first."""
        from latency.model.table import NetworkMeasurement

        mine = (
            select(NetworkMeasurementRow)
            .join(DeviceRow, DeviceRow.id == NetworkMeasurementRow.device_id)
            .where(DeviceRow.name == device, NetworkMeasurementRow.purpose == purpose)
            .order_by(NetworkMeasurementRow.id)
        )
        with self._ledger.reading() as session:
            return [
                NetworkMeasurement(tuple(row.workloads), measurement_of(row)) for row in session.scalars(mine)
            ]

    @patient
    def put_network(self, device: str, network: "NetworkMeasurement", purpose: str = CALIBRATION) -> None:
        """Add a whole network, to learn from or not; ValueError when its time is not finite."""
        found = network.measurement
        check_finite(milliseconds=found.milliseconds, iqr_ms=found.iqr_ms)
        row = {
            "device_id": self._device_id(device),
            "purpose": purpose,
            "workloads": list(network.workloads),
            **_timing(found),
        }
        with self._ledger.writing() as session:
            _add(session, NetworkMeasurementRow, row, ("device_id", "purpose", "date", "milliseconds"))

    @patient
    def register(self, device: str, *, target: str, description: Mapping[str, Any]) -> None:
        """Note what a device is, in place of what was noted before."""
        noted = {"target": target, "description": dict(description)}
        mine = DeviceRow.id == self._device_id(device)
        with self._ledger.writing() as session:
            session.execute(update(DeviceRow).where(mine).values(**noted))

    @patient
    def last_description(self, name: str) -> dict[str, Any] | None:
        """What was last noted of the device that users call ``name``; None where nothing was."""
        newest = (
            select(DeviceRow.description)
            .where(DeviceRow.name.startswith(f"{name} | ", autoescape=True))
            .where(DeviceRow.description.is_not(None))
            .order_by(DeviceRow.id.desc())
            .limit(1)
        )
        with self._ledger.reading() as session:
            return session.scalar(newest)

    @patient
    def devices(self) -> dict[str, dict[str, Any] | None]:
        """What is known of each device, by name."""
        with self._ledger.reading() as session:
            rows = session.execute(select(DeviceRow.name, DeviceRow.description).order_by(DeviceRow.id))
            return {row.name: row.description for row in rows}

    def _device_id(self, name: str) -> int:
        if name not in self._device_ids:
            self._device_ids[name] = self._find_or_add(name)
        return self._device_ids[name]

    @patient
    def _find_or_add(self, name: str) -> int:
        with self._ledger.reading() as session:
            found = session.scalar(select(DeviceRow.id).where(DeviceRow.name == name))
        if found is not None:
            return found
        try:
            with self._ledger.writing() as session:
                row = DeviceRow(name=name, created_at=datetime.now(UTC))
                session.add(row)
                session.flush()
                return row.id
        except IntegrityError:
            # Another worker added it in between.
            return self._find_or_add(name)


def _add(session: Session, table: type[Base], row: Mapping[str, Any], telling: Sequence[str]) -> None:
    """Add a row, unless one that is the same in the columns that tell is there: it may be put again."""
    same = [getattr(table, name) == row[name] for name in telling]
    if session.scalar(select(literal(1)).where(*same).limit(1)) is None:
        session.execute(insert(table).values(**row))


def _timing(measurement: "Measurement") -> dict[str, Any]:
    """The columns that kernels and networks share."""
    found = {name: getattr(measurement, name) for name in TIMING}
    return {**found, "conditions": measurement.conditions.to_dict()}


def measurement_of(row: Any) -> "Measurement":
    """What a row of kernels or of networks tells, or one that has the same columns."""
    from latency import Conditions, Measurement

    return Measurement(
        milliseconds=row.milliseconds,
        iqr_ms=row.iqr_ms,
        samples=row.samples,
        date=row.date,
        tvm_version=row.tvm_version,
        conditions=Conditions.from_dict(row.conditions),
        **_of_kernel(row),
    )


def _of_kernel(row: Any) -> dict[str, Any]:
    """What only kernels have."""
    if not hasattr(row, "schedule"):
        return {}
    return {"schedule": row.schedule, "cold_ms": row.cold_ms, "code_bytes": row.code_bytes}

"""What was measured on the devices of a ledger, newest first, and what its searches predicted for them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Select, case, func, select

from latency.model.table import CALIBRATION
from nas.ledger.away import patient
from nas.ledger.latencies import measurement_of
from nas.ledger.store import Ledger
from nas.ledger.tables import DeviceRow, MeasurementRow, NetworkMeasurementRow, Search, Trial

if TYPE_CHECKING:
    from latency import Measurement


class Place(NamedTuple):
    """A device as one compiler and one way of measuring saw it; several may be of one name.

    Attributes:
        key: its row's.
        identity: what the latency table knows it by.
        target: what was compiled for.
        description: its cpu, cores and versions.
        kernels: how many different ones were measured.
        measurements: how many times those were, in all.
        learned: how many times of whole networks there are that predictions learn from.
        oldest: when something was measured first, ISO 8601; None where nothing was.
        newest: when something was measured last.
    """

    key: int
    identity: str
    target: str | None
    description: dict[str, Any]
    kernels: int
    measurements: int
    learned: int
    oldest: str | None
    newest: str | None

    @property
    def device(self) -> str:
        """What users call it."""
        return self.identity.partition(" | ")[0]

    @property
    def cpu(self) -> str:
        """The processor, as it tells itself."""
        return [*self.identity.split(" | "), ""][1]

    @property
    def made_by(self) -> str:
        """What made the code and timed it."""
        return ", ".join(self.identity.split(" | ")[2:])


class Kernel(NamedTuple):
    """One time of one kernel."""

    place: int
    workload: str
    measurement: "Measurement"


class WholeNetwork(NamedTuple):
    """One time of a whole network: what for, and the keys of its kernels, in order."""

    purpose: str
    workloads: tuple[str, ...]
    measurement: "Measurement"


class Whole(NamedTuple):
    """A trial whose network was measured whole, beside what was predicted of it before, in milliseconds."""

    search: str
    number: int
    digest: str
    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    measured_ms: float
    measured_low_ms: float | None
    measured_high_ms: float | None
    disturbed: str | None


class Costed(NamedTuple):
    """What a trial's kernels were predicted to take, in order; ``estimated`` were not measured by then."""

    search: str
    number: int
    by_workload: Sequence[tuple[str, float]]
    estimated: frozenset[str]


@patient
def places(ledger: Ledger) -> list[Place]:
    """Every device that something was measured on, in the order in which they came."""
    with ledger.reading() as session:
        devices = session.execute(
            select(DeviceRow.id, DeviceRow.name, DeviceRow.target, DeviceRow.description).order_by(
                DeviceRow.id
            )
        ).all()
        distinct = func.count(MeasurementRow.workload.distinct())
        kernels = {row[0]: row for row in session.execute(_counted(MeasurementRow, distinct))}
        learned = func.sum(case((NetworkMeasurementRow.purpose == CALIBRATION, 1), else_=0))
        networks = {row[0]: row for row in session.execute(_counted(NetworkMeasurementRow, learned))}
    found = []
    for key, name, target, description in devices:
        _, measured, times, *dates = kernels.get(key, (key, 0, 0))
        _, whole, _, *more = networks.get(key, (key, 0, 0))
        seen = sorted([*dates, *more])
        first, last = (seen[0], seen[-1]) if seen else (None, None)
        found.append(Place(key, name, target, description or {}, measured, times, whole, first, last))
    return found


def _counted(table: type[MeasurementRow | NetworkMeasurementRow], what: Any) -> Select[Any]:
    """By device: how many there are, how many rows, the oldest date and the newest."""
    columns = table.device_id, what, func.count(table.id), func.min(table.date), func.max(table.date)
    return select(*columns).group_by(table.device_id)


@patient
def kernels_of(ledger: Ledger, places: Sequence[int], most: int | None = None) -> list[Kernel]:
    """The newest times of kernels, so many at most."""
    columns = MeasurementRow.__table__.columns
    newest = select(*columns).where(MeasurementRow.device_id.in_(places)).order_by(MeasurementRow.id.desc())
    with ledger.reading() as session:
        rows = session.execute(newest.limit(most)).all()
    return [Kernel(row.device_id, row.workload, measurement_of(row)) for row in rows]


@patient
def times_of(ledger: Ledger, places: Sequence[int]) -> dict[str, float]:
    """The newest time of every kernel, in milliseconds, by its key."""
    columns = MeasurementRow.workload, MeasurementRow.milliseconds
    of_places = select(*columns).where(MeasurementRow.device_id.in_(places)).order_by(MeasurementRow.id)
    with ledger.reading() as session:
        return {row.workload: row.milliseconds for row in session.execute(of_places)}


@patient
def networks_of(ledger: Ledger, places: Sequence[int], most: int) -> list[WholeNetwork]:
    """The newest times of whole networks, so many at most."""
    table = NetworkMeasurementRow
    newest = select(*table.__table__.columns).where(table.device_id.in_(places)).order_by(table.id.desc())
    with ledger.reading() as session:
        rows = session.execute(newest.limit(most)).all()
    return [WholeNetwork(row.purpose, tuple(row.workloads), measurement_of(row)) for row in rows]


@patient
def measured_whole(ledger: Ledger, searches: Sequence[str]) -> list[Whole]:
    """The trials of searches whose network was measured whole and predicted before."""
    columns = (
        *(Search.name, Trial.number, func.coalesce(Trial.digest, "")),
        *(Trial.latency_ms, Trial.latency_low_ms, Trial.latency_high_ms),
        *(Trial.measured_latency_ms, Trial.measured_low_ms, Trial.measured_high_ms, Trial.measured_disturbed),
    )
    known = Trial.latency_ms.is_not(None), Trial.measured_latency_ms.is_not(None)
    with ledger.reading() as session:
        of_searches = select(*columns).join(Search, Search.id == Trial.search_id).where(*known)
        rows = session.execute(of_searches.where(Search.name.in_(searches)).order_by(Trial.id)).all()
    return [Whole._make(row) for row in rows]


@patient
def costed(ledger: Ledger, searches: Sequence[str], most: int) -> list[Costed]:
    """The newest trials of searches whose kernels were predicted, so many at most."""
    columns = Search.name, Trial.number, Trial.latency_by_workload, Trial.estimated
    with ledger.reading() as session:
        predicted = (
            select(*columns)
            .join(Search, Search.id == Trial.search_id)
            .where(Search.name.in_(searches), Trial.latency_ms.is_not(None))
        )
        rows = session.execute(predicted.order_by(Trial.id.desc()).limit(most)).all()
    return [
        Costed(search, number, [(key, ms) for key, ms in by_workload], frozenset(estimated or ()))
        for search, number, by_workload, estimated in rows
        if by_workload
    ]

"""Checks every cell of a ledger as the database has it: its type, its range, and whether it is readable."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from sqlalchemy import JSON, Connection, DateTime, LargeBinary, Select, Table, column, select

from nas.ledger.lines import AgreeingPredictions, EpochLine, OriginOf, Positive, TrialLine
from nas.ledger.losses import Loss
from nas.ledger.records import check_search_name
from nas.ledger.tables import Base
from nas.ledger.workers import Worker

AHEAD = timedelta(days=1)
"""Clocks of machines are not further apart."""
_AT_ONCE = 500


def _owner(text: str) -> str:
    Worker.from_text(text)
    return text


def _past(when: datetime) -> datetime:
    if when > datetime.now(UTC) + AHEAD:
        raise ValueError(f"{when:%Y-%m-%d} is in the future")
    return when


def _date(text: str) -> str:
    when = datetime.fromisoformat(text)
    _past(when if when.tzinfo else when.replace(tzinfo=UTC))
    return text


def _loss(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        Loss.from_dict(fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no loss of a worker ({error})") from error
    return fields


Owner = Annotated[str, AfterValidator(_owner)]
Past = Annotated[AwareDatetime, AfterValidator(_past)]
Date = Annotated[str, AfterValidator(_date)]
Count = Annotated[int, Field(ge=0)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Searches(_Row):
    name: Annotated[str, AfterValidator(check_search_name)]
    config: dict[str, JsonValue]
    created_at: Past
    revision: Count
    ended: str | None
    origin: OriginOf | None


class _Trials(TrialLine):
    model_config = ConfigDict(extra="ignore")

    owner: Owner | None = None
    expires_at: AwareDatetime | None
    fence: Count
    losses: list[Annotated[dict[str, JsonValue], AfterValidator(_loss)]] | None
    doubt: Annotated[int, Field(ge=0, le=2)]
    digest: Annotated[str, Field(min_length=1, max_length=64)] | None = None  # of any kind, by the space
    same_as: Annotated[str, Field(pattern="^[^/]+/[0-9]+$")] | None = None
    revision: Count
    started_at: Past | None = None
    finished_at: Past | None = None


class _Epochs(EpochLine):
    model_config = ConfigDict(extra="ignore")


class _Workers(_Row):
    owner: Owner
    versions: dict[str, str]
    stage: str
    joined_at: Past
    seen_at: Past
    ended_at: Past | None


class _Checkpoints(_Row):
    epoch: Count


class _Predictions(_Row):
    summary: AgreeingPredictions


class _Devices(_Row):
    name: str
    target: str | None
    description: dict[str, JsonValue] | None
    created_at: Past


class _Times(_Row):
    milliseconds: Positive
    iqr_ms: Positive
    samples: Count
    date: Date
    tvm_version: str
    conditions: dict[str, JsonValue] | None


class _Measurements(_Times):
    workload: str
    schedule: str
    cold_ms: Positive | None
    code_bytes: Count | None


class _NetworkMeasurements(_Times):
    purpose: str
    workloads: list[str]


class _KnownDevices(_Row):
    name: str
    record: dict[str, JsonValue]
    description: dict[str, JsonValue] | None
    probed_at: Past | None
    created_at: Past


class _Artifacts(_Row):
    path: str
    target: str
    digest: str
    created_at: Past
    verified_at: Past | None


_ROWS: dict[str, type[BaseModel]] = {
    "searches": _Searches,
    "trials": _Trials,
    "epochs": _Epochs,
    "workers": _Workers,
    "checkpoints": _Checkpoints,
    "predictions": _Predictions,
    "devices": _Devices,
    "measurements": _Measurements,
    "network_measurements": _NetworkMeasurements,
    "known_devices": _KnownDevices,
    "artifacts": _Artifacts,
}


class Damage(NamedTuple):
    """A cell that cannot be what was written.

    Attributes:
        table: the name of the table.
        row: all cells of the row but large ones, as the database has them.
        problem: the column and what is wrong, in words.
    """

    table: str
    row: Mapping[str, Any]
    problem: str


def damages(connection: Connection) -> Iterator[Damage]:
    """The cells that are damaged, the first one of each row."""
    for table in Base.metadata.sorted_tables:
        if table.name in _ROWS:
            yield from _of_table(connection, table)


def _of_table(connection: Connection, table: Table) -> Iterator[Damage]:
    small = [c for c in table.columns if not isinstance(c.type, LargeBinary)]
    raw: Select[*tuple[Any, ...]] = select(*(column(c.name) for c in small)).select_from(
        table
    )  # without types nothing is read in
    for some in connection.execution_options(yield_per=_AT_ONCE).execute(raw).partitions():
        for row in some:
            cells = row._asdict()
            if told := _told(table, cells):
                yield Damage(table.name, cells, told)


def _told(table: Table, row: Mapping[str, Any]) -> str:
    """What is wrong with a row; empty where nothing is."""
    name, ready = "", {}
    try:
        for name, read in _readers(table.name).items():
            value = row[name]
            ready[name] = value if value is None or read is None else read(value)
        _ROWS[table.name].model_validate_json(json.dumps(ready))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where, *within = map(str, first["loc"])
        return f"column '{where}' is damaged ({': '.join(filter(None, ('.'.join(within), first['msg'])))})"
    except (ValueError, TypeError) as error:
        return f"column '{name}' is damaged ({' '.join(str(error).split())})"
    return ""


@cache
def _readers(table: str) -> dict[str, Any]:
    """How the text of each column that a row's model has is read; None where it is a value already."""
    columns = Base.metadata.tables[table].columns
    return {name: _reader(columns[name].type) for name in _ROWS[table].model_fields if name in columns}


def _reader(kind: Any) -> Any:
    if isinstance(kind, JSON):
        return _json
    return _time if isinstance(getattr(kind, "impl", kind), DateTime) else None


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value


def _time(value: Any) -> str:
    when = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).isoformat()

"""A device's latency table as lines of JSON, a kernel or a whole network each, to move between ledgers."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from latency.timing.conditions import Conditions
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from latency import LatencyTable
    from latency.model.table import NetworkMeasurement

MAX_LENGTH = 10_000
"""Kernels of a network, and characters of a line's texts, at most."""
MAX_MS = 1e6
AHEAD = timedelta(days=1)
"""A measurement may be so much later than now, as clocks and time zones are not always right."""
MAX_INTEGER = 2**31 - 1
SCHEDULE_PATTERN = r"^(\d{1,3}x\d{1,3})?$"


def _plain(text: str) -> str:
    """Text that every database takes."""
    if "\0" in text or not text.isprintable():
        raise ValueError("holds what is not printable")
    return text


def _date(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("tells no time zone")
    if is_ahead(text):
        raise ValueError(f"{text} has not come yet; set the clock of the machine that measured")
    return text


def is_ahead(date: str) -> bool:
    """Whether a date is later than now by more than clocks differ."""
    return datetime.fromisoformat(date) - datetime.now(UTC) > AHEAD


def _workload(key: str) -> str:
    from runtime import Workload

    try:
        Workload.from_key(key)
    except InvalidInput as error:
        raise ValueError(error.problem) from error
    return key


def _conditions(found: dict[str, Any]) -> dict[str, Any]:
    """Those that are computed with are numbers; the others are only shown."""
    return Conditions.from_dict(found).to_dict()


Text = Annotated[str, Field(max_length=MAX_LENGTH), AfterValidator(_plain)]
Key = Annotated[Text, AfterValidator(_workload)]
Milliseconds = Annotated[float, Field(gt=0, lt=MAX_MS, allow_inf_nan=False)]


class Line(BaseModel):
    """What a line of the file may hold: a kernel's measurement, or a network's with its kernels in order."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[Text, Field(min_length=1)]
    workload: Key | None = None
    network: Annotated[list[Key], Field(min_length=1, max_length=MAX_LENGTH)] | None = None
    milliseconds: Milliseconds
    iqr_ms: Annotated[float, Field(ge=0, lt=MAX_MS, allow_inf_nan=False)]
    samples: Annotated[int, Field(ge=1, le=MAX_INTEGER)]
    date: Annotated[str, Field(max_length=64), AfterValidator(_date)]
    tvm_version: Annotated[Text, Field(max_length=64)]
    schedule: Annotated[str, Field(pattern=SCHEDULE_PATTERN)] = ""
    cold_ms: Milliseconds | None = None
    code_bytes: Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None = None
    conditions: Annotated[dict[str, Any], AfterValidator(_conditions)] = {}

    @model_validator(mode="after")
    def _is_one(self) -> "Line":
        if (self.workload is None) == (self.network is None):
            raise ValueError("give either workload or network")
        return self


def write_lines(table: "LatencyTable", device: str) -> list[str]:
    """A device's kernels and the networks that were learned from."""
    kernels = [
        {"device": device, "workload": key, **row.to_dict()} for key, row in table.rows(device).items()
    ]
    networks = [
        {"device": device, "network": list(network.workloads), **network.measurement.to_dict()}
        for network in table.networks(device)
    ]
    return [json.dumps(line, sort_keys=True) for line in [*kernels, *networks]]


def read_lines(file: Path) -> list[Line]:
    """The lines of a file, all of them right.

    Raises:
        InvalidInput: it cannot be read, or a line is not right; the message names the line and the field.
    """
    fix = "give a file that `nas latency export` wrote"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("file", f"'{file}' cannot be read ({error})", fix) from error
    if not lines:
        raise InvalidInput("file", f"'{file}' is empty", fix)
    return [_read(file, number, line, fix) for number, line in enumerate(lines, start=1)]


def _read(file: Path, number: int, line: str, fix: str) -> Line:
    try:
        return Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        problem = f"line {number} of '{file}' is no measurement ({where + ': ' if where else ''}{reason})"
        raise InvalidInput("file", problem, fix) from error


def newer(table: "LatencyTable", lines: list[Line]) -> Iterator[Line]:
    """Those that a table lacks, or holds an older measurement of."""
    devices = {line.device for line in lines}
    rows = {device: table.rows(device) for device in devices}
    networks = {device: _dates(table.networks(device)) for device in devices}
    for line in lines:
        if line.workload is not None:
            known = rows[line.device].get(line.workload)
            date = None if known is None else known.date
        else:
            date = networks[line.device].get(tuple(line.network or ()))
        # one that came in with a date that has not come yet must not win for good
        if date is None or is_ahead(date) or datetime.fromisoformat(date) < datetime.fromisoformat(line.date):
            yield line


def _dates(networks: "list[NetworkMeasurement]") -> Mapping[tuple[str, ...], str]:
    """When each network was measured last."""
    return {network.workloads: network.measurement.date for network in networks}

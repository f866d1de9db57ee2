"""What travels to a worker, and what a worker tells: plain data, whatever way it goes."""

import json
import time
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from pkgutil import resolve_name
from typing import Any, Self

from nas.ledger.claims import LEASE_S
from nas.measuring.bench import BenchFactory, DeviceBench


@dataclass(frozen=True)
class Job:
    """What a worker is to do. All of it is plain or importable, so that it can go to any process as text.

    A device that does not answer is asked again after ``device_pause_s``. No trial is begun after ``until``,
    in seconds since 1970.
    """

    storage: str
    search: str
    bench: BenchFactory = DeviceBench
    lease_s: float = LEASE_S
    poll_s: float = 0.5
    device_pause_s: float = 15.0
    verbose: bool = False
    until: float | None = None

    @property
    def is_late(self) -> bool:
        """Whether it is too late to begin a trial."""
        return self.until is not None and time.time() >= self.until

    def to_json(self) -> str:
        """For a way that carries text; the bench goes by its name, ``module:name``."""
        fields = {field.name: getattr(self, field.name) for field in dataclass_fields(self)}
        bench: Any = self.bench
        return json.dumps({**fields, "bench": f"{bench.__module__}:{bench.__qualname__}"})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What ``to_json`` wrote; the bench is imported."""
        fields = json.loads(text)
        return cls(**{**fields, "bench": resolve_name(fields["bench"])})


@dataclass(frozen=True)
class Told:
    """Something that a worker tells of its work; what it does not speak of is None or empty.

    Attributes:
        stage: what goes on beside trials, in words.
        done: how much of the stage is done, where it can be counted.
        of: of how much.
        drifts: by what share the device was slower than usual, for each batch of measurements.
        training_s: seconds of training, in all, when the worker ends.
        measuring_s: seconds of measuring, likewise, waiting for its turn included.
        error: in one line, what keeps the worker from working; it ends after that.
        notice: a line that people should see, such as what became of a trial whose process has died.
        remark: likewise, of what is so for all workers of a machine: it is shown once.
    """

    stage: str | None = None
    done: int | None = None
    of: int | None = None
    drifts: list[float] = field(default_factory=list)
    training_s: float = 0.0
    measuring_s: float = 0.0
    error: str | None = None
    notice: str | None = None
    remark: str | None = None

    def to_json(self) -> str:
        """For a way that carries text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What ``to_json`` wrote."""
        return cls(**json.loads(text))

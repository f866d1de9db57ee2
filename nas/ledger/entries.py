"""What is written of a trial while it runs and after: its costs, its epochs, its artifacts."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from nas.objectives import ObjectiveValue


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a trial's training, counted from 1; accuracy on the validation split, in 0..1.

    ``reported`` is what else an evaluator has reported, by name; one of your own may report no loss or no
    accuracy.
    """

    epoch: int
    train_loss: float | None
    accuracy: float | None
    seconds: float
    reported: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = {"train_loss": self.train_loss, "accuracy": self.accuracy, **self.reported}
        check_finite(seconds=self.seconds, **{n: v for n, v in numbers.items() if v is not None})

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class ArtifactRecord:
    """A compiled network that was written to ``path`` from trial ``number`` of a search."""

    search: str
    number: int
    path: str
    target: str
    digest: str
    created_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}


@dataclass(frozen=True)
class Cost:
    """What an architecture costs by prediction: milliseconds, in all and by workload key, and kB.

    A search without a device has no milliseconds, and architectures of your own have no kB. ``estimated``
    are the workloads that were never measured, ``latency_low_ms`` to ``latency_high_ms`` the interval,
    ``measuring_s`` the seconds that measuring took, ``costs`` what other objectives say, by name.
    """

    latency_ms: float | None = None
    size_kb: float | None = None
    latency_by_workload: list[tuple[str, float]] | None = None
    estimated: list[str] = field(default_factory=list)
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    measuring_s: float = 0.0
    costs: Mapping[str, ObjectiveValue] = field(default_factory=dict)

    @property
    def accuracy(self) -> None:
        """Nothing is trained yet."""

    @property
    def architecture(self) -> None:
        """All is in the costs."""

    def __post_init__(self) -> None:
        values = {name: cost.value for name, cost in self.costs.items()}
        check_finite(latency_ms=self.latency_ms or 0.0, size_kb=self.size_kb or 0.0, **values)


def check_finite(**numbers: float) -> None:
    """Refuse what must never reach the ledger.

    Raises:
        ValueError: one of the numbers is NaN or infinite.
    """
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise ValueError(f"{name} is {number}, which the ledger does not record")

"""What a measurement is, what it is worth, and what can go wrong with one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from latency.timing.conditions import Conditions

MAX_REPEAT_DIFFERENCE = 0.015
"""The share by which two times that are the same may differ."""

MAX_SPREAD = 0.05
"""The share of their median that quartiles of samples may be apart; where it is more, more are taken."""

MAX_WAITED = 0.1
"""The share of the time that others may have the core for."""

SLICE_MS = 3.0
"""How long a scheduler lets a busy process run: what takes longer is interrupted wherever others want the
core, what is shorter may pass between two of them, and shows by its spread that it did not."""

MAX_PLACEMENT_SPREAD = 0.3
"""A larger spread of samples no place of code and memory explains: these cost a network up to a fifth."""


@dataclass(frozen=True)
class Measurement:
    """A time that was measured, never a predicted one.

    Attributes:
        milliseconds: first decile of the samples; a sample is the mean of many runs.
        iqr_ms: interquartile range of the samples.
        samples: how many samples.
        date: when, ISO 8601 in UTC.
        tvm_version: the compiler that made the code.
        schedule: how the kernel was made, the fastest way of those tried; empty where there is but one.
        cold_ms: the median of single runs whose arguments, but the first, are in no cache; None if not taken.
        code_bytes: machine code of a kernel; None if not known.
        conditions: how the device was meanwhile.
    """

    milliseconds: float
    iqr_ms: float
    samples: int
    date: str
    tvm_version: str
    schedule: str = ""
    cold_ms: float | None = None
    code_bytes: int | None = None
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def disturbed(self) -> str | None:
        """What made the time worthless, in words: the one place that says so; None where nothing did.

        A quiet machine's times spread as well, by where code and memory lie. So a spread counts only where
        the device tells more: that others had the core, or the reference was disturbed most of the time; or
        where nothing explains it.
        """
        conditions = self.conditions
        spread = self.iqr_ms / (conditions.median_ms or self.milliseconds)
        drift, waited = conditions.drift or 0.0, conditions.waited or 0.0
        if drift > 0:
            return f"it was {drift:.0%} slower than usual"
        if waited > MAX_WAITED and (spread > MAX_SPREAD or self.milliseconds > SLICE_MS):
            return f"others had the core {waited:.0%} of the time"
        if spread > MAX_SPREAD and conditions.disturbed > self.samples:
            return f"most samples were disturbed, and they differ by {spread:.0%}"
        return f"its samples differ by {spread:.0%}" if spread > MAX_PLACEMENT_SPREAD else None

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end, in milliseconds, of where the time lies by the device's own repeats.

        That is as far around it as the samples' quartiles and the next lowest time of those repeated, and as
        the device was slower than usual, but never narrower than two times that are taken for the same.
        """
        repeats = self.conditions.repeats_ms
        again = repeats[1] if len(repeats) > 1 else self.milliseconds
        share = max(MAX_REPEAT_DIFFERENCE, self.conditions.drift or 0.0)
        beside = max(self.iqr_ms, again - self.milliseconds, share * self.milliseconds)
        return max(0.0, self.milliseconds - beside), self.milliseconds + beside

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "conditions": self.conditions.to_dict()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Measurement":
        """What ``to_dict`` made; unknown keys do no harm.

        Raises:
            ValueError: a condition is none. TypeError: something is missing.
        """
        known = {f.name: found[f.name] for f in fields(cls) if f.name in found}
        return cls(**{**known, "conditions": Conditions.from_dict(found.get("conditions"))})


@dataclass(frozen=True)
class Timings:
    """What a batch gave: a measurement of each thing in order.

    Attributes:
        measurements: the times; the conditions of each say which speed of the device it is given for.
        drifts: by what share the device was slower than usual, for each time that the batch was begun.
    """

    measurements: Sequence[Measurement]
    drifts: Sequence[float] = ()

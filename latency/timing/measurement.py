"""What a measurement is, what can go wrong with one, and how a process has a machine to itself meanwhile."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.errors import MeasurementError as MeasurementError
from search_spaces.errors import NoDeviceError as NoDeviceError

DRIFTED = "drift"
"""Among a measurement's conditions: the share by which the device was slower than it usually is, and is not
corrected for. Only where it was so for too long to wait."""

WAITED = "waited"
"""Among them: the share of a batch's time in which others had the core, as the system tells."""

REPEATS = "repeats_ms"
"""Among them: what the same took each time it was measured and was not disturbed, the lowest first."""

AGREE = 0.015
"""The share by which two times that are the same may differ."""

SPREAD = 0.05
"""The share of their median that quartiles of samples may be apart; where it is more, more are taken."""

LONG_WAIT = 0.1
"""The share of the time that others may have the core for."""

SLICE_MS = 3.0
"""How long a scheduler lets a busy process run: what takes longer is interrupted wherever others want the
core, what is shorter may pass between two of them, and shows by its spread that it did not."""

UNEXPLAINED = 0.3
"""A spread of samples that no place of code and memory explains: these cost a network up to a fifth."""


BRIEFLY = "briefly"
"""Among a measurement's conditions: that it was taken with few samples and few ways of making the kernel."""


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
        conditions: how the device was: governor, frequency, load, cores, the reference's time, the
            samples' median, how many samples were disturbed, how often it was measured, and ``DRIFTED``,
            ``WAITED`` and ``REPEATS``.
    """

    milliseconds: float
    iqr_ms: float
    samples: int
    date: str
    tvm_version: str
    schedule: str = ""
    cold_ms: float | None = None
    code_bytes: int | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def disturbed(self) -> str | None:
        """What made the time worthless, in words: the one place that says so; None where nothing did.

        A quiet machine's times spread as well, by where code and memory lie. So a spread counts only where
        the device tells more: that others had the core, or the reference was disturbed most of the time; or
        where nothing explains it.
        """
        spread = self.iqr_ms / float(self.conditions.get("median_ms", self.milliseconds))
        drift, waited = (float(self.conditions.get(name) or 0.0) for name in (DRIFTED, WAITED))
        lost = int(self.conditions.get("disturbed") or 0)
        if drift > 0:
            return f"it was {drift:.0%} slower than usual"
        if waited > LONG_WAIT and (spread > SPREAD or self.milliseconds > SLICE_MS):
            return f"others had the core {waited:.0%} of the time"
        if spread > SPREAD and lost > self.samples:
            return f"most samples were disturbed, and they differ by {spread:.0%}"
        return f"its samples differ by {spread:.0%}" if spread > UNEXPLAINED else None

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end, in milliseconds, of where the time lies by the device's own repeats.

        That is as far around it as the samples' quartiles and the next lowest time of those repeated, and as
        the device was slower than usual, but never narrower than two times that are taken for the same.
        """
        repeats = self.conditions.get(REPEATS) or [self.milliseconds]
        again = repeats[1] if len(repeats) > 1 else self.milliseconds
        drift = float(self.conditions.get(DRIFTED) or 0.0)
        beside = max(self.iqr_ms, again - self.milliseconds, max(AGREE, drift) * self.milliseconds)
        return max(0.0, self.milliseconds - beside), self.milliseconds + beside


@contextmanager
def alone(cores: int = 1) -> Iterator[None]:
    """Hold this machine's measuring lock, so that no two processes time anything at once, and some cores."""
    lock = Path(tempfile.gettempdir()) / f"bitnas-measuring-{os.getuid()}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        try:
            if before:
                os.sched_setaffinity(0, sorted(before)[-cores:])
            yield
        finally:
            if before:
                os.sched_setaffinity(0, before)

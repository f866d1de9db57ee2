"""What a measurement is, what can go wrong with one, and how a process has a machine to itself meanwhile."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.errors import BitnasError

DRIFTED = "drift"
"""Among a measurement's conditions: the share by which the device was slower than it usually is, and is not
corrected for. Only where it was so for too long to wait."""


BRIEFLY = "briefly"
"""Among a measurement's conditions: that it was taken with few samples and few ways of making the kernel."""


class MeasurementError(BitnasError):
    """A device gave no usable time."""


class NoDeviceError(MeasurementError):
    """A device does not answer; it may be back later."""


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
            samples' median, how many samples were disturbed, how often it was measured, and ``DRIFTED``.
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

"""What a measurement is, and the protocol by which a compiled function is timed.

Warmed up; rounds of ``SAMPLES`` samples of at least ``SAMPLE_MS`` each, their median and interquartile range.
What disturbs a measurement only ever adds time, and may go on for a whole round (another process on a sibling
core), and so does an unlucky place of its memory, which rounds take turns with: they are repeated, from
``FEWEST`` up to ``ROUNDS``, until two agree on the lowest median and that one's spread is small. Rounds
beside which a reference kernel was slow do not count.
"""

import fcntl
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.errors import BitnasError

SAMPLES = 7
SAMPLE_MS = 10
FEWEST, ROUNDS = 3, 9
ATTEMPTS = 3  # rounds in all, for each that there must be at least
NETWORK_ROUNDS = 6  # at least: errors of kernels cancel out in a sum, those of networks do not
TRIAL_SAMPLES = 5  # to choose among schedules, each
TRIAL_MS = 1
AGREEMENT = 0.02  # two medians this close, as a share, are the same
SPREAD = 0.05  # the largest interquartile range, as a share of the median, that ends a measurement early
ABSURD_MS = 1e6


class MeasurementError(BitnasError):
    """A device gave no usable time."""


class NoDeviceError(MeasurementError):
    """A device does not answer; it may be back later."""


@dataclass(frozen=True)
class Measurement:
    """A time that was measured, never a predicted one.

    Attributes:
        milliseconds: median over the samples; a sample is the mean of many runs.
        iqr_ms: interquartile range of the samples.
        samples: how many samples.
        date: when, ISO 8601 in UTC.
        tvm_version: the compiler that made the code.
        schedule: how the kernel was made, the fastest way of those tried; empty where there is but one.
        cold_ms: the median of single runs whose arguments, but the first, are in no cache; None if not taken.
        conditions: how the device was: governor, frequency, load, cores, and the reference kernel's time.
    """

    milliseconds: float
    iqr_ms: float
    samples: int
    date: str
    tvm_version: str
    schedule: str = ""
    cold_ms: float | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)


Sampler = Callable[[int, int], list[float]]
"""Takes (number of samples, milliseconds a sample at least), returns milliseconds a run for each."""


def measure(
    sampler: Sampler, fewest: int = FEWEST, is_quiet: Callable[[], bool] = lambda: True
) -> Measurement:
    """Time by the protocol, in at least so many rounds.

    ``is_quiet`` is asked before and after each round: one that was disturbed does not count, unless all were.

    Raises:
        MeasurementError: a sample is not a finite, positive, sensible number.
    """
    sampler(1, TRIAL_MS)  # warms up caches, clocks and page tables
    rounds: list[Measurement] = []
    disturbed: list[Measurement] = []
    was_quiet = is_quiet()
    while len(rounds) + len(disturbed) < ATTEMPTS * fewest:
        found = _summary(sampler(SAMPLES, SAMPLE_MS))
        before, was_quiet = was_quiet, is_quiet()
        (rounds if before and was_quiet else disturbed).append(found)
        if len(rounds) >= fewest and (len(rounds) >= ROUNDS or _agree(rounds)):
            break
    best = min(rounds or disturbed, key=lambda found: found.milliseconds)
    return replace(best, conditions={"rounds": len(rounds), "disturbed": len(disturbed)})


def _agree(rounds: list[Measurement]) -> bool:
    """Whether the two fastest rounds have the same median, and the fastest little spread."""
    if len(rounds) < 2:
        return False
    fastest, second = sorted(rounds, key=lambda found: found.milliseconds)[:2]
    is_steady = fastest.iqr_ms <= SPREAD * fastest.milliseconds
    return is_steady and second.milliseconds <= fastest.milliseconds * (1 + AGREEMENT)


def _summary(samples: list[float]) -> Measurement:
    for sample in samples:
        if not math.isfinite(sample) or not 0 < sample < ABSURD_MS:
            raise MeasurementError(f"device: it measured {sample} ms, which is no time; measure again")
    low, median, high = np.percentile(samples, [25, 50, 75])
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Measurement(float(median), float(high - low), len(samples), date, version("apache-tvm"))


def fastest(samplers: dict[str, Sampler]) -> str:
    """The name of the fastest of several ways, by the lowest of a few samples each, taken in turn."""
    lowest = dict.fromkeys(samplers, math.inf)
    for _ in range(TRIAL_SAMPLES if len(samplers) > 1 else 0):
        for name, sampler in samplers.items():
            lowest[name] = min(lowest[name], *sampler(1, TRIAL_MS))
    return min(lowest, key=lambda name: lowest[name])


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

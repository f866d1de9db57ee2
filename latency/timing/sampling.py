"""The protocol: samples of many functions in turn, and a reference before and after each.

What disturbs a measurement only ever adds time, goes on for seconds (another machine on the sibling of a
core), and shows in the time of a kernel that is always the same work. So the samples of one function are
spread over those of others; those count beside which the reference was about as fast as it can be, at
the speed that it tells. Of those a low one is the time, the first decile: an unlucky place of the memory,
which samples take turns with, adds time, too, and so does what the reference does not feel.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

import numpy as np

from latency.timing.conditions import Conditions
from latency.timing.measurement import MAX_SPREAD, Measurement
from latency.timing.patience import patience_s
from latency.timing.speed import ReferenceSpeed, Sampler

TIME_PERCENT = 10  # of the samples are below the time
MAX_SECONDS = 3.0  # what a slow function may take of a batch, once it has the fewest samples that count
WARM_MS = 1
SCHEDULE_TURNS = 3  # to choose among ways of making a kernel
SCHEDULE_SAMPLES, SCHEDULE_SAMPLE_MS = 2, 1  # of each way in each turn
MAX_MS = 1e6

QUIET_TOLERANCE = 0.05  # the reference may take this share longer than in its quietest moments
DISTURBED_PAUSE_S = 0.02  # after a turn of which most was disturbed: nobody tells when a neighbour is done


@dataclass(frozen=True)
class SamplingPlan:
    """How long functions are sampled.

    A sample is the lowest of a few short parts: a scheduler lets a busy process run for some milliseconds at
    a time, so that a part may pass undisturbed where a longer sample cannot.

    Attributes:
        parts: parts of a sample.
        part_ms: how long a part is at least.
        samples: quiet samples of each function.
        max_samples: samples at most, to find so many quiet ones, if patience lasts.
        min_samples: samples that count, the quietest, where there were not even so many quiet ones.
        schedules: ways of making a kernel that are tried.
        repeats: whether what was measured while the machine was slow is measured again.
    """

    parts: int
    part_ms: float
    samples: int
    max_samples: int
    min_samples: int
    schedules: int
    repeats: bool


THOROUGH_PLAN = SamplingPlan(
    parts=5, part_ms=2, samples=12, max_samples=36, min_samples=4, schedules=5, repeats=True
)
"""For what is exported, calibrated or compared."""
BRIEF_PLAN = SamplingPlan(
    parts=4, part_ms=1, samples=4, max_samples=8, min_samples=3, schedules=1, repeats=False
)
"""For kernels that a search asks for: sampled for an eighth of that time, in one schedule."""


@dataclass(frozen=True)
class Sample:
    """A time, and the reference's before and after it, in milliseconds; how long the sample took."""

    milliseconds: float
    before: float
    after: float
    seconds: float

    @property
    def reference(self) -> float:
        """What the reference took meanwhile."""
        return (self.before + self.after) / 2

    @property
    def disturbance(self) -> float:
        """The longer of the two times of the reference."""
        return max(self.before, self.after)


def measure_in_turn(
    samplers: Sequence[Sampler], speed: ReferenceSpeed, plan: SamplingPlan, usual_ms: float | None
) -> list[Measurement]:
    """Time functions by the protocol, at the speed at which the reference takes ``usual_ms``, if given."""
    for sampler in samplers:
        sampler(1, WARM_MS)  # caches, clocks and page tables
    taken: list[list[Sample]] = [[] for _ in samplers]
    end = math.inf
    for turn in range(plan.max_samples):
        if turn == plan.samples:  # further ones wait for quiet
            end = time.monotonic() + patience_s()
        limit = speed.quiet_ms(usual_ms) * (1 + QUIET_TOLERANCE)
        pending = [i for i, found in enumerate(taken) if not _is_enough(found, limit, plan)]
        if not pending or time.monotonic() >= end:
            break
        for i, sample in zip(pending, _turn([samplers[i] for i in pending], speed, plan), strict=True):
            taken[i].append(sample)
        if len(_quiet([taken[i][-1] for i in pending], limit)) < len(pending) / 2:
            time.sleep(DISTURBED_PAUSE_S)
    return [_summary(samples, speed, plan, usual_ms) for samples in taken]


def fastest(kernels: Sequence[Mapping[str, Sampler]]) -> list[str]:
    """The name of the fastest of each kernel's ways, by the lowest of a few samples, taken in turn."""
    lowest = [dict.fromkeys(ways, math.inf) for ways in kernels]
    for _ in range(SCHEDULE_TURNS):
        for ways, found in zip(kernels, lowest, strict=True):
            for name, sampler in ways.items() if len(ways) > 1 else ():
                found[name] = min(found[name], *sampler(SCHEDULE_SAMPLES, SCHEDULE_SAMPLE_MS))
    return [min(found, key=found.__getitem__) for found in lowest]


def scale_of(measurement: Measurement) -> float:
    """What a time was multiplied by to be one at the usual speed."""
    usual, reference = measurement.conditions.usual_ms, measurement.conditions.reference_ms
    return 1.0 if usual is None or reference is None else usual / reference


def _turn(samplers: Sequence[Sampler], speed: ReferenceSpeed, plan: SamplingPlan) -> list[Sample]:
    """One sample of each."""
    found = []
    before = speed.time()
    for sampler in samplers:
        started = time.monotonic()
        milliseconds = min(sampler(plan.parts, plan.part_ms))
        seconds = time.monotonic() - started
        after = speed.time()
        found.append(Sample(milliseconds, before, after, seconds))
        before = after
    return found


def _is_enough(samples: Sequence[Sample], limit: float, plan: SamplingPlan) -> bool:
    """Whether so many were quiet, and alike, or so much time went by."""
    if len(samples) >= plan.min_samples and sum(sample.seconds for sample in samples) > MAX_SECONDS:
        return True
    quiet = _quiet(samples, limit)
    return len(quiet) >= plan.samples and _spread(quiet) <= MAX_SPREAD


def _quiet(samples: Sequence[Sample], limit: float) -> list[Sample]:
    return [sample for sample in samples if sample.disturbance <= limit]


def _spread(samples: Sequence[Sample]) -> float:
    """The interquartile range as a share of the median, at one speed."""
    times = [sample.milliseconds / sample.reference for sample in samples]
    quarter, middle, three = (float(x) for x in np.percentile(times, [25, 50, 75]))
    return (three - quarter) / middle


def _summary(
    samples: Sequence[Sample], speed: ReferenceSpeed, plan: SamplingPlan, usual_ms: float | None
) -> Measurement:
    """The quiet samples at the usual speed, or the quietest where hardly one was quiet."""
    limit = speed.quiet_ms(usual_ms) * (1 + QUIET_TOLERANCE)
    calm = sorted(samples, key=lambda sample: sample.disturbance)
    used = calm[: max(plan.min_samples, len(_quiet(samples, limit)))]
    base = speed.base_ms(usual_ms)
    times = [sample.milliseconds * base / sample.reference for sample in used]
    low, quarter, middle, three = (float(x) for x in np.percentile(times, [TIME_PERCENT, 25, 50, 75]))
    reference = median(sample.reference for sample in used)
    conditions = Conditions(
        median_ms=middle,
        disturbed=len(samples) - len(_quiet(samples, limit)),
        reference_ms=reference,
        usual_ms=base,
    )
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Measurement(low, three - quarter, len(times), date, version("apache-tvm"), conditions=conditions)

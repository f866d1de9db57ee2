"""The protocol: samples of many functions in turn, each between two glances at a reference.

What disturbs a measurement only ever adds time, goes on for seconds (another machine on the sibling of a
core), and shows in the time of a kernel that is always the same work. So the samples of one function are
spread over those of others; those count beside which the reference was about as fast as it can be, at
the speed that it tells. Of those a low one is the time, the first decile: an unlucky place of the memory,
which samples take turns with, adds time, too, and so does what the reference does not feel.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

import numpy as np

from latency.timing.measurement import SPREAD, Measurement
from latency.timing.patience import patience_s

LOW = 10  # percent of the samples that are below the time
LONGEST_S = 3.0  # what a slow function may take of a batch, once it has so few
WARM_MS = 1
TRIALS = 3  # turns to choose among ways of making a kernel
TRIAL_SAMPLES, TRIAL_MS = 2, 1  # of each way in each turn
ABSURD_MS = 1e6

QUIET = 0.05  # the reference may take this share longer than in its quietest moments
QUIET_SHARE = 10  # percent of its times that are taken for quiet ones
GLANCES = 2000  # times of it that are remembered
GLANCE_SAMPLES, GLANCE_MS = 3, 1
FIRST_GLANCES = 20
DISTURBED_S = 0.02  # after a turn in which most was disturbed: nobody tells when a neighbour is done
OTHER_MACHINE = 0.2  # a share of speed by which it is no longer the machine that it was

Sampler = Callable[[int, float], list[float]]
"""Takes (number of samples, milliseconds a sample at least), returns milliseconds a run for each."""


@dataclass(frozen=True)
class SamplingPlan:
    """How long functions are sampled.

    A sample is the lowest of a few short parts: a scheduler lets a busy process run for some milliseconds at
    a time, so that a part may pass undisturbed where a longer sample cannot.

    Attributes:
        parts: parts of a sample.
        part_ms: how long a part is at least.
        samples: quiet samples of each function.
        visits: samples at most, to find so many quiet ones, if patience lasts.
        fewest: samples that count, the quietest, where there were not even so many quiet ones.
        schedules: ways of making a kernel that are tried.
        repeats: whether what was measured while the machine was slow is measured again.
    """

    parts: int
    part_ms: float
    samples: int
    visits: int
    fewest: int
    schedules: int
    repeats: bool


THOROUGH = SamplingPlan(parts=5, part_ms=2, samples=12, visits=36, fewest=4, schedules=5, repeats=True)
"""For what is exported, calibrated or compared."""
BRIEF = SamplingPlan(parts=4, part_ms=1, samples=4, visits=8, fewest=3, schedules=1, repeats=False)
"""For kernels that a search asks for: sampled for an eighth of that time, in one schedule."""


class Speed:
    """How fast a machine is at the moment, told by a reference.

    Attributes:
        usual_ms: what the reference takes at the speed that times are given for, once that is known.
    """

    def __init__(self, reference: Sampler) -> None:
        self.usual_ms: float | None = None
        self._reference = reference
        self._glances: deque[float] = deque(maxlen=GLANCES)
        self._batch: list[float] = []

    def begin(self) -> None:
        """A batch of measurements begins."""
        self._batch = []

    @property
    def quietest_ms(self) -> float:
        """What it took in the quietest moments of the batch."""
        return float(np.percentile(self._batch, QUIET_SHARE))

    def glance(self) -> float:
        """What the reference takes now, in milliseconds."""
        found = min(self._reference(GLANCE_SAMPLES, GLANCE_MS))
        self._glances.append(found)
        self._batch.append(found)
        return found

    @property
    def quiet_ms(self) -> float:
        """What it takes when nothing else runs on its core."""
        while len(self._glances) < FIRST_GLANCES:
            self.glance()
        found = float(np.percentile(self._glances, QUIET_SHARE))
        is_slower = self.usual_ms is not None and 0 < found / self.usual_ms - 1 < OTHER_MACHINE
        return self.usual_ms if is_slower and self.usual_ms is not None else found

    def forget(self) -> None:
        """Forget the batch: it was measured at another speed."""
        for _ in self._batch[: len(self._glances)]:
            self._glances.pop()

    def settle(self) -> None:
        """Forget how fast the machine was: from now on it has another speed."""
        self._glances.clear()

    @property
    def is_comparable(self) -> bool:
        """Whether times can be given for the usual speed."""
        return self.usual_ms is None or abs(self.usual_ms / self.quiet_ms - 1) <= OTHER_MACHINE


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
    samplers: Sequence[Sampler], speed: Speed, plan: SamplingPlan = THOROUGH
) -> list[Measurement]:
    """Time functions by the protocol."""
    for sampler in samplers:
        sampler(1, WARM_MS)  # caches, clocks and page tables
    taken: list[list[Sample]] = [[] for _ in samplers]
    end = math.inf
    for visit in range(plan.visits):
        if visit == plan.samples:  # further ones wait for quiet
            end = time.monotonic() + patience_s()
        limit = speed.quiet_ms * (1 + QUIET)
        pending = [i for i, found in enumerate(taken) if not _is_enough(found, limit, plan)]
        if not pending or time.monotonic() >= end:
            break
        for i, sample in zip(pending, _turn([samplers[i] for i in pending], speed, plan), strict=True):
            taken[i].append(sample)
        if len(_quiet([taken[i][-1] for i in pending], limit)) < len(pending) / 2:
            time.sleep(DISTURBED_S)
    return [_summary(samples, speed, plan) for samples in taken]


def fastest(kernels: Sequence[Mapping[str, Sampler]]) -> list[str]:
    """The name of the fastest of each kernel's ways, by the lowest of a few samples, taken in turn."""
    lowest = [dict.fromkeys(ways, math.inf) for ways in kernels]
    for _ in range(TRIALS):
        for ways, found in zip(kernels, lowest, strict=True):
            for name, sampler in ways.items() if len(ways) > 1 else ():
                found[name] = min(found[name], *sampler(TRIAL_SAMPLES, TRIAL_MS))
    return [min(found, key=found.__getitem__) for found in lowest]


def scale_of(measurement: Measurement) -> float:
    """What a time was multiplied by to be one at the usual speed."""
    return float(measurement.conditions["usual_ms"] / measurement.conditions["reference_ms"])


def _turn(samplers: Sequence[Sampler], speed: Speed, plan: SamplingPlan) -> list[Sample]:
    """One sample of each."""
    found = []
    before = speed.glance()
    for sampler in samplers:
        started = time.monotonic()
        milliseconds = min(sampler(plan.parts, plan.part_ms))
        seconds = time.monotonic() - started
        after = speed.glance()
        found.append(Sample(milliseconds, before, after, seconds))
        before = after
    return found


def _is_enough(samples: Sequence[Sample], limit: float, plan: SamplingPlan) -> bool:
    """Whether so many were quiet, and alike, or so much time went by."""
    if len(samples) >= plan.fewest and sum(sample.seconds for sample in samples) > LONGEST_S:
        return True
    quiet = _quiet(samples, limit)
    return len(quiet) >= plan.samples and _spread(quiet) <= SPREAD


def _quiet(samples: Sequence[Sample], limit: float) -> list[Sample]:
    return [sample for sample in samples if sample.disturbance <= limit]


def _spread(samples: Sequence[Sample]) -> float:
    """The interquartile range as a share of the median, at one speed."""
    times = [sample.milliseconds / sample.reference for sample in samples]
    quarter, middle, three = (float(x) for x in np.percentile(times, [25, 50, 75]))
    return (three - quarter) / middle


def _summary(samples: Sequence[Sample], speed: Speed, plan: SamplingPlan) -> Measurement:
    """The quiet samples at the usual speed, or the quietest where hardly one was quiet."""
    limit = speed.quiet_ms * (1 + QUIET)
    calm = sorted(samples, key=lambda sample: sample.disturbance)
    used = calm[: max(plan.fewest, len(_quiet(samples, limit)))]
    base = speed.usual_ms if speed.usual_ms is not None and speed.is_comparable else speed.quiet_ms
    times = [sample.milliseconds * base / sample.reference for sample in used]
    low, quarter, middle, three = (float(x) for x in np.percentile(times, [LOW, 25, 50, 75]))
    reference = median(sample.reference for sample in used)
    conditions = {
        "median_ms": middle,
        "disturbed": len(samples) - len(_quiet(samples, limit)),
        "reference_ms": reference,
        "usual_ms": base,
    }
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Measurement(low, three - quarter, len(times), date, version("apache-tvm"), conditions=conditions)

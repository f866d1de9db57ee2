"""Times functions of a library at a place: the one way for kernels and networks, here and over RPC."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency.conditions import ReadFile, now
from latency.measurement import Measurement, MeasurementError, Sampler, fastest, measure
from latency.place import Place

COLD_RUNS = 15
FLUSH = "cache_flush_cpu_non_first_arg"  # TVM's: it flushes the lines of all arguments but the first
DRIFT = 0.1  # the reference kernel may take this share longer than it lately did
LATELY = 25  # times of the reference kernel whose median is what it lately took
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds, before what was measured in a drift is measured anew
SETTLED = 5  # times of the reference kernel that agree: the machine has another speed now
REFERENCE_SAMPLES = 10

log = logging.getLogger("nas.latency")

Arrays = list[NDArray[Any]]


class Bench:
    """Measures at a place, and watches a reference kernel between measurements.

    Attributes:
        rejected: how many measurements were thrown away because the reference kernel had drifted.
    """

    def __init__(
        self, place: Place, read: ReadFile, reference: Path, arrays: Arrays, cooldown_s: float = 0.0
    ) -> None:
        self.rejected = 0
        self._place = place
        self._read = read
        self._cooldown_s = cooldown_s
        module = place.load(reference)
        self._reference = self._sampler(module, "reference", [place.tensor(a) for a in arrays])
        self._lately: deque[float] = deque(maxlen=LATELY)

    def kernel(self, library: Path, names: Mapping[str, str], arrays: Arrays) -> Measurement:
        """Time a kernel in its fastest schedule; ``names`` are of functions, by schedule."""
        module = self._place.load(library)
        tensors = [self._place.tensor(array) for array in arrays]
        samplers = {schedule: self._sampler(module, name, tensors) for schedule, name in names.items()}

        def once() -> Measurement:
            schedule = fastest(samplers)
            found = replace(measure(samplers[schedule]), schedule=schedule)
            return replace(found, cold_ms=self._cold(module, names[schedule], tensors))

        return self._watched(once)

    def network(self, library: Path, name: str, arrays: Arrays) -> Measurement:
        """Time a whole network."""
        module = self._place.load(library)
        sampler = self._sampler(module, name, [self._place.tensor(array) for array in arrays])
        return self._watched(lambda: measure(sampler))

    def _watched(self, once: Callable[[], Measurement]) -> Measurement:
        """Measure while the reference kernel is about as fast as it lately was, before and afterwards.

        Where the machine has settled at another speed, that becomes the one to compare with, and is said.
        """
        time.sleep(self._cooldown_s)
        before = self._time_reference()
        tried = []
        for pause in (*PAUSES, None):
            found: Measurement = once()
            after = self._time_reference()
            usual = median(self._lately or [before, after])
            drift = max(before, after) / usual - 1
            if drift <= DRIFT:
                self._lately += [before, after]
                conditions = {**now(self._read), "reference_ms": usual, "drift": round(drift, 4)}
                return replace(found, conditions=conditions)
            self.rejected += 1
            log.debug("rejected: the reference kernel takes %.0f %% longer than usual", 100 * drift)
            tried.append(after)
            if pause is not None:
                time.sleep(pause)
                before = self._time_reference()
        if max(tried[-SETTLED:]) <= min(tried[-SETTLED:]) * (1 + DRIFT):
            log.warning("the machine has settled at a speed %.0f %% lower than before", 100 * drift)
            self._lately.clear()
            return self._watched(once)
        raise MeasurementError(
            f"device: its reference kernel takes {drift:.0%} longer than usual, no time can be trusted; "
            "let it cool down, end what else runs on it, and measure again"
        )

    def _time_reference(self) -> float:
        return min(self._reference(REFERENCE_SAMPLES, 1))

    def _sampler(self, module: Any, name: str, tensors: list[Any]) -> Sampler:
        def sample(samples: int, sample_ms: int) -> list[float]:
            timer = module.time_evaluator(
                name, self._place.device, number=1, repeat=samples, min_repeat_ms=sample_ms
            )
            return [seconds * 1e3 for seconds in timer(*tensors).results]

        return sample

    def _cold(self, module: Any, name: str, tensors: list[Any]) -> float:
        timer = module.time_evaluator(name, self._place.device, number=1, repeat=COLD_RUNS, f_preproc=FLUSH)
        return float(np.median(timer(*tensors).results) * 1e3)


def random_arrays(buffers: list[tuple[tuple[int, ...], str]]) -> Arrays:
    """Data of ordinary size: denormal or infinite floats would be timed as no network ever runs them."""
    generator = np.random.default_rng(0)
    return [_random_array(shape, np.dtype(dtype), generator) for shape, dtype in buffers]


def _random_array(shape: tuple[int, ...], dtype: np.dtype[Any], generator: np.random.Generator) -> Any:
    if dtype.kind == "f":
        signs = generator.choice([-1.0, 1.0], shape)
        return (generator.uniform(0.5, 1.5, shape) * signs).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)

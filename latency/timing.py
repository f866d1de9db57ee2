"""Times functions of a library at a place: the one way for kernels and networks, here and over RPC."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.conditions import ReadFile, now
from latency.measurement import (
    NETWORK_ROUNDS,
    Measurement,
    MeasurementError,
    Sampler,
    fastest,
    measure,
)
from latency.place import Place
from latency.reference import REFERENCE
from runtime.assembly import ONCE

if TYPE_CHECKING:
    from runtime import Workload

COLD_RUNS = 15
FLUSH = "cache_flush_cpu_non_first_arg"  # TVM's: it flushes the lines of all arguments but the first
DRIFT = 0.1  # the reference kernel may take this share longer than it lately did
OTHER_MACHINE = 0.2  # a share of speed by which it is no longer the machine that it was
LATELY = 25  # times of the reference kernel whose median is what it lately took
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds, before what was measured in a drift is measured anew
QUIET = 0.04  # the reference kernel may take this share longer than in its quietest moments
QUIET_SHARE = 20  # percent of its times that are taken for quiet ones
GLANCES = 200  # times of the reference kernel beside rounds
DISTURBED_S = 0.02  # seconds, before the next round
SETTLED = 5  # times of the reference kernel that agree: the machine has another speed now
REFERENCE_SAMPLES = 10

log = logging.getLogger("nas.latency")

PLACEMENTS = 3  # copies of the memory that rounds take turns with
CALLED_MS = 0.02  # what a kernel's calls take together, at least
MOST_CALLS = 1000
FLOOR_MS = 1e-7

Arrays = list[NDArray[Any]]
Parts = Sequence[tuple[int, tuple[int, ...], str]]
"""Offset, shape and dtype of the arrays in a block."""
Memory = Sequence[tuple[int, Parts]]
"""Bytes and parts of each block that a kernel is called with."""


class Bench:
    """Measures at a place, and watches a reference kernel between measurements.

    Attributes:
        rejected: how many measurements were thrown away because the reference kernel had drifted.
        usual_ms: what the reference kernel takes at the speed that times are given for: at that of the first
            measurement, unless it is set before.
    """

    def __init__(
        self, place: Place, read: ReadFile, library: Path, reference: str, cooldown_s: float = 0.0
    ) -> None:
        """``reference`` is the reference kernel's function in ``library``."""
        self.rejected = 0
        self.usual_ms: float | None = None
        self._place = place
        self._read = read
        self._cooldown_s = cooldown_s
        tensors = self._tensors(memory_of(REFERENCE))
        self._reference = self._kernel_sampler(place.load(library), reference, [tensors])
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._glances: deque[float] = deque(maxlen=GLANCES)

    def kernel(self, library: Path, names: Mapping[str, str], memory: Memory) -> Measurement:
        """Time a kernel in its fastest schedule; ``names`` are of functions, by schedule."""
        module = self._place.load(library)
        copies = [self._tensors(memory) for _ in range(PLACEMENTS)]
        samplers = {s: self._kernel_sampler(module, name, copies) for s, name in names.items()}

        def once() -> Measurement:
            schedule = fastest(samplers)
            found = replace(measure(samplers[schedule], is_quiet=self._is_quiet), schedule=schedule)
            return replace(found, cold_ms=self._cold(module, names[schedule] + ONCE, copies[0]))

        return self._watched(once)

    def network(self, library: Path, name: str, arrays: Arrays) -> Measurement:
        """Time a whole network."""
        module = self._place.load(library)
        copies = [[self._place.tensor(array) for array in arrays] for _ in range(PLACEMENTS)]
        evaluator = self._evaluator(module, name)
        turn = cycle(copies)

        def sample(samples: int, sample_ms: int) -> list[float]:
            return evaluator(samples, sample_ms, *next(turn))

        return self._watched(lambda: measure(sample, NETWORK_ROUNDS, self._is_quiet))

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
                found = replace(found, conditions={**now(self._read), **found.conditions})
                return self._at_usual_speed(found, (before + after) / 2)
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

    def _at_usual_speed(self, found: Measurement, reference_ms: float) -> Measurement:
        """The times as they would be were the reference kernel as fast as usual.

        A shared machine is some percent faster or slower from one minute to the next. Where it has changed by
        more than ``OTHER_MACHINE``, times are left as they are.
        """
        self.usual_ms = self.usual_ms or reference_ms
        scale = self.usual_ms / reference_ms
        if abs(scale - 1) > OTHER_MACHINE:
            log.warning("the device's speed is no longer comparable with that of its first measurements")
            scale = 1.0
        speed = {"reference_ms": reference_ms, "usual_ms": self.usual_ms, "scale": round(scale, 4)}
        return replace(
            found,
            milliseconds=found.milliseconds * scale,
            iqr_ms=found.iqr_ms * scale,
            cold_ms=None if found.cold_ms is None else found.cold_ms * scale,
            conditions={**found.conditions, **speed},
        )

    def _is_quiet(self) -> bool:
        """Whether the reference kernel is as fast now as it is when nothing else runs on its core.

        What runs on a sibling of the core, perhaps for another virtual machine, comes and goes within a
        second and costs a quarter of the speed.
        """
        found = median(self._reference(3, 1))
        self._glances.append(found)
        is_quiet = found <= float(np.percentile(self._glances, QUIET_SHARE)) * (1 + QUIET)
        if not is_quiet:
            time.sleep(DISTURBED_S)
        return is_quiet

    def _time_reference(self) -> float:
        return min(self._reference(REFERENCE_SAMPLES, 1))

    def _kernel_sampler(self, module: Any, name: str, copies: list[list[Any]]) -> Sampler:
        """Each round uses another copy of the memory: where it lies can cost a tenth of the time."""
        evaluator, turn = self._evaluator(module, name), cycle(copies)
        count = 1

        def sample(samples: int, sample_ms: int) -> list[float]:
            tensors = next(turn)
            return [ms / count for ms in evaluator(samples, sample_ms, *tensors, count)]

        # so many calls at once that the one call from outside costs nothing beside them
        count = max(1, min(MOST_CALLS, round(CALLED_MS / max(min(sample(3, 1)), FLOOR_MS))))
        return sample

    def _evaluator(self, module: Any, name: str) -> Callable[..., list[float]]:
        def evaluate(samples: int, sample_ms: int, *arguments: Any) -> list[float]:
            timer = module.time_evaluator(
                name, self._place.device, number=1, repeat=samples, min_repeat_ms=sample_ms
            )
            return [seconds * 1e3 for seconds in timer(*arguments).results]

        return evaluate

    def _tensors(self, memory: Memory) -> list[Any]:
        return [self._place.tensor(random_block(nbytes, parts)) for nbytes, parts in memory]

    def _cold(self, module: Any, name: str, tensors: list[Any]) -> float:
        timer = module.time_evaluator(name, self._place.device, number=1, repeat=COLD_RUNS, f_preproc=FLUSH)
        return float(np.median(timer(*tensors).results) * 1e3)


def memory_of(workload: "Workload") -> Memory:
    """The memory of a kernel that is timed alone."""
    from runtime.assembly import blocks_of

    return [(block.nbytes, block.parts(workload)) for block in blocks_of(workload)]


def random_block(nbytes: int, parts: Parts) -> NDArray[np.uint8]:
    """Bytes that hold random arrays."""
    block = np.zeros(max(1, nbytes), np.uint8)
    for (offset, *_), array in zip(parts, random_arrays([part[1:] for part in parts]), strict=True):
        block[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
    return block


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

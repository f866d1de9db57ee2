"""Times functions of a library at a place: the one way for kernels and networks, here and over RPC."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import cycle
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latency.timing.conditions import ReadFile, now, waited_s
from latency.timing.measurement import BRIEFLY, DRIFTED, WAITED, Measurement, MeasurementError
from latency.timing.patience import patience_s
from latency.timing.place import Place
from latency.timing.reference import REFERENCE
from latency.timing.sampling import (
    ABSURD_MS,
    BRIEF,
    THOROUGH,
    WARM_MS,
    Sampler,
    SamplingPlan,
    Speed,
    fastest,
    measure_in_turn,
    scale_of,
)
from runtime.codegen.timed_kernels import SINGLE_CALL

if TYPE_CHECKING:
    from runtime import Workload

COLD_RUNS = 15
FLUSH = "cache_flush_cpu_non_first_arg"  # TVM's: it flushes the lines of all arguments but the first
DRIFT = 0.1  # the reference may take this share longer than it lately did
LATELY = 25  # batches whose median is what it lately took
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds, before what was measured in a drift is measured anew
SETTLED = 5  # batches of another speed, one after the other, that agree: the machine has that speed now

log = logging.getLogger("nas.latency")

PLACEMENTS = 3  # copies of code and memory that samples take turns with
CALLED_MS = 0.02  # what a kernel's calls take together, at least
MOST_CALLS = 1000
FLOOR_MS = 1e-7
MARGIN = 1.1  # runs are so many that a sample is not shorter than asked for, though a machine gets faster

Arrays = list[NDArray[Any]]
Part = tuple[int, tuple[int, ...], str]
"""Offset, shape and dtype of an array in a block."""
Parts = Sequence[Part]
Memory = Sequence[tuple[int, Parts]]
"""Bytes and parts of each block that a kernel is called with."""


Copy = tuple[Any, list[Any]]
"""Code, and the arguments that it is called with."""


class Kernel(NamedTuple):
    """A kernel to time: its functions, by schedule, and its memory."""

    names: Mapping[str, str]
    memory: Memory


class Network(NamedTuple):
    """A network to time: its library, its function there, and the arrays that it is called with."""

    library: Path
    name: str
    arrays: Arrays


class Bench:
    """Measures at a place, batch by batch, and watches a reference meanwhile.

    Attributes:
        speed: what the reference tells.
        rejected: how many batches were thrown away because the reference had drifted.
        drifts: by what share the reference was slower than usual, for each batch that was begun.
        patience_s: seconds that may yet go into such; as long as others take comes back.
    """

    def __init__(
        self, place: Place, read: ReadFile, library: Path, reference: str, cooldown_s: float = 0.0
    ) -> None:
        """``reference`` is the reference's function in ``library``."""
        self.rejected = 0
        self.drifts: list[float] = []
        self.patience_s = self._most_patience_s = patience_s()
        self._place = place
        self._read = read
        self._cooldown_s = cooldown_s
        self.speed = Speed(self._luckiest(library, reference))
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._drifted: deque[float] = deque(maxlen=SETTLED)
        self._is_comparable = True

    def kernels(self, library: Path, kernels: Sequence[Kernel], brief: bool = False) -> list[Measurement]:
        """Time kernels of a library, at least one, each in its fastest schedule."""
        plan = BRIEF if brief else THOROUGH
        modules = self._modules(library)
        copies = [self._memories(kernel.memory) for kernel in kernels]
        ways = [
            {way: self._kernel_sampler(modules, name, memories) for way, name in kernel.names.items()}
            for kernel, memories in zip(kernels, copies, strict=True)
        ]

        def once() -> list[Measurement]:
            chosen = fastest(ways)
            found = measure_in_turn([ways[i][way] for i, way in enumerate(chosen)], self.speed, plan)
            cold = [
                self._cold(modules[0], kernel.names[way] + SINGLE_CALL, memories[0])
                for way, kernel, memories in zip(chosen, kernels, copies, strict=True)
            ]
            return [
                replace(measured, schedule=way, cold_ms=ms * scale_of(measured))
                for measured, way, ms in zip(found, chosen, cold, strict=True)
            ]

        measured = self._watched(once, plan)
        if not brief:
            return measured
        return [replace(found, conditions={**found.conditions, BRIEFLY: True}) for found in measured]

    def networks(self, networks: Sequence[Network]) -> list[Measurement]:
        """Time whole networks, at least one."""
        samplers = [self._network_sampler(network) for network in networks]
        return self._watched(lambda: measure_in_turn(samplers, self.speed))

    def _watched(
        self, once: Callable[[], list[Measurement]], plan: SamplingPlan = THOROUGH
    ) -> list[Measurement]:
        """Measure while the reference, in its quietest moments, is about as fast as it lately was.

        Where the machine has settled at another speed, that becomes the one to compare with, and is said.
        Where it is disturbed for longer than patience lasts, the least disturbed try counts, marked.
        """
        time.sleep(self._cooldown_s)
        tries: list[tuple[float, list[Measurement]]] = []
        for pause in (*PAUSES, None) if plan.repeats else (None,):
            started = time.monotonic()
            self.speed.begin()
            found = self._with_waiting(once)
            quietest = self.speed.quietest_ms
            drift = quietest / median(self._lately or [quietest]) - 1
            seconds = time.monotonic() - started
            self.drifts.append(max(0.0, drift))
            if drift <= DRIFT:
                self.patience_s = min(self._most_patience_s, self.patience_s + seconds)
                return self._accepted(found, quietest)
            self.rejected += 1
            log.info("the machine is disturbed: the reference takes %.0f %% longer than usual", 100 * drift)
            tries.append((drift, found))
            self.speed.forget()
            if self._has_settled(quietest):
                log.info("the machine has settled at a speed %.0f %% lower than before", 100 * drift)
                return self._watched(once, plan)
            self.patience_s -= seconds + (pause or 0.0)
            if pause is None or self.patience_s < 0:
                break
            time.sleep(pause)  # nobody tells when a neighbour is done
        return self._disturbed(*min(tries, key=itemgetter(0)))

    def _with_waiting(self, once: Callable[[], list[Measurement]]) -> list[Measurement]:
        """A batch, and the share of its time in which others had the core, where the system tells."""
        started, before = time.monotonic(), waited_s(self._read)
        found = once()
        after, seconds = waited_s(self._read), time.monotonic() - started
        if before is None or after is None or seconds <= 0:
            return found
        waited = {WAITED: max(0.0, after - before) / seconds}
        return [replace(each, conditions={**each.conditions, **waited}) for each in found]

    def _has_settled(self, quietest: float) -> bool:
        """Whether a drifted batch is one of several in a row of one speed, which then is the usual one."""
        self._drifted.append(quietest)
        is_steady = max(self._drifted) <= min(self._drifted) * (1 + DRIFT)
        if len(self._drifted) < SETTLED or not is_steady:
            return False
        self._lately.clear()
        self._drifted.clear()
        self.speed.settle()
        return True

    def _accepted(self, found: list[Measurement], quietest: float) -> list[Measurement]:
        self._drifted.clear()
        self._lately.append(quietest)
        was_comparable, self._is_comparable = self._is_comparable, self.speed.is_comparable
        if was_comparable and not self._is_comparable:
            log.info("the device's speed is no longer comparable with that of its first measurements")
        self.speed.usual_ms = self.speed.usual_ms or found[0].conditions["usual_ms"]
        return self._noted(found)

    def _disturbed(self, drift: float, found: list[Measurement]) -> list[Measurement]:
        """Times of a busy machine, unscaled: a kernel may not have lost what the reference lost."""
        log.info(
            "disturbed for too long: %d times count, marked, though the reference takes %.0f %% longer than "
            "usual; they may be too long by that; nas latency measure takes kernels anew",
            len(found),
            100 * drift,
        )
        return [_as_it_was(each, drift) for each in self._noted(found)]

    def _noted(self, found: list[Measurement]) -> list[Measurement]:
        """With the conditions that they were taken in."""
        around = now(self._read)
        return [replace(each, conditions={**around, **each.conditions}) for each in found]

    def _luckiest(self, library: Path, reference: str) -> Sampler:
        """The reference's copy whose place costs least: a process would be slower than others by that."""
        copies = zip(self._modules(library), self._memories(memory_of(*REFERENCE)), strict=True)
        samplers = {str(i): self._kernel_sampler([m], reference, [t]) for i, (m, t) in enumerate(copies)}
        (found,) = fastest([samplers])
        return samplers[found]

    def _kernel_sampler(self, modules: list[Any], name: str, memories: list[list[Any]]) -> Sampler:
        first = [(modules[0], [*memories[0], 1])]
        once = self._sampler(name, first)(3, WARM_MS)
        # so many calls at once that the one call from outside costs nothing beside them
        count = max(1, min(MOST_CALLS, round(CALLED_MS / max(min(once), FLOOR_MS))))
        copies = [(m, [*tensors, count]) for m, tensors in zip(modules, memories, strict=True)]
        sample = self._sampler(name, copies)
        return lambda samples, sample_ms: [ms / count for ms in sample(samples, sample_ms)]

    def _network_sampler(self, network: Network) -> Sampler:
        modules = self._modules(network.library)
        return self._sampler(
            network.name, [(m, [self._place.tensor(a) for a in network.arrays]) for m in modules]
        )

    def _sampler(self, name: str, copies: list[Copy]) -> Sampler:
        """Samples of a function, of so many runs as take the time that is asked for, of each copy in turn.

        How many runs that are is found once: TVM's own search for it takes as long again as the sample.
        """

        @cache  # over RPC each costs a round trip
        def evaluator(copy: int, samples: int, runs: int, least_ms: int = 0) -> Callable[..., Any]:
            module, _ = copies[copy]
            timer: Callable[..., Any] = module.time_evaluator(
                name, self._place.device, number=runs, repeat=samples, min_repeat_ms=least_ms
            )
            return timer

        turn = cycle(range(len(copies)))
        (known,) = in_milliseconds(evaluator(0, 1, 1, WARM_MS)(*copies[0][1]).results)

        def sample(samples: int, sample_ms: float) -> list[float]:
            nonlocal known
            runs = max(1, math.ceil(sample_ms * MARGIN / max(known, FLOOR_MS)))
            copy = next(turn)
            found = in_milliseconds(evaluator(copy, samples, runs)(*copies[copy][1]).results)
            known = min(known, *found)
            return found

        return sample

    def _modules(self, library: Path) -> list[Any]:
        """Copies of the code: where it lies costs some networks a fifth of their time."""
        return [self._place.load(library) for _ in range(PLACEMENTS)]

    def _memories(self, memory: Memory) -> list[list[Any]]:
        """Copies of the memory: where it lies costs some kernels a tenth of their time."""
        return [
            [self._place.tensor(random_block(n, parts)) for n, parts in memory] for _ in range(PLACEMENTS)
        ]

    def _cold(self, module: Any, name: str, tensors: list[Any]) -> float:
        timer = module.time_evaluator(name, self._place.device, number=1, repeat=COLD_RUNS, f_preproc=FLUSH)
        return median(in_milliseconds(timer(*tensors).results))


def _as_it_was(measured: Measurement, drift: float) -> Measurement:
    """A disturbed time, not scaled to another speed, and marked."""
    factor = max(1.0, 1 / scale_of(measured))
    return replace(
        measured,
        milliseconds=measured.milliseconds * factor,
        iqr_ms=measured.iqr_ms * factor,
        cold_ms=None if measured.cold_ms is None else measured.cold_ms * factor,
        conditions={**measured.conditions, DRIFTED: drift},
    )


def in_milliseconds(seconds: Sequence[float]) -> list[float]:
    """What a device measured.

    Raises:
        MeasurementError: one is not a finite, positive, sensible number.
    """
    found = [1e3 * each for each in seconds]
    for each in found:
        if not math.isfinite(each) or not 0 < each < ABSURD_MS:
            raise MeasurementError(f"device: it measured {each} ms, which is no time; measure again")
    return found


def memory_of(*workloads: "Workload") -> Memory:
    """The memory of kernels that are timed alone, or one after the other."""
    from runtime.codegen.timed_kernels import TIMED_BLOCKS, blocks_of

    sizes, parts = [0 for _ in TIMED_BLOCKS], [list[Part]() for _ in TIMED_BLOCKS]
    for workload in workloads:
        for index, block in enumerate(blocks_of(workload)):
            parts[index] += [(sizes[index] + at, shape, dtype) for at, shape, dtype in block.parts(workload)]
            sizes[index] += block.nbytes
    return list(zip(sizes, parts, strict=True))


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
    if dtype == np.int64:  # a shift among them is below 64
        return generator.integers(0, 32, shape, dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)

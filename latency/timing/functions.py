"""Functions of a library at a place, as samplers: copies of code and memory take turns."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from numpy.typing import NDArray

from latency.timing.memory import Memory, memory_of, random_block
from latency.timing.place import Place
from latency.timing.reference import REFERENCE
from latency.timing.sampling import MAX_MS, WARM_MS, fastest
from latency.timing.speed import Sampler
from search_spaces.errors import MeasurementError

COPIES = 3  # of code and memory that samples take turns with
COLD_RUNS = 15
FLUSH = "cache_flush_cpu_non_first_arg"  # TVM's: it flushes the lines of all arguments but the first
MIN_CALLS_MS = 0.02  # what a kernel's calls take together, at least
MAX_CALLS = 1000
MIN_MS = 1e-7
RUNS_MARGIN = 1.1  # more runs, so that a sample is not shorter than asked for, though a machine gets faster


class KernelJob(NamedTuple):
    """A kernel to time: its functions, by schedule, and its memory."""

    names: Mapping[str, str]
    memory: Memory


class NetworkJob(NamedTuple):
    """A network to time: its library, its function there, and the arrays that it is called with."""

    library: Path
    name: str
    arrays: list[NDArray[Any]]


Call = tuple[Any, list[Any]]
"""A module, and the arguments that its function is called with."""


class Functions:
    """Loads what is to be timed at a place, and makes samplers of it."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def modules(self, library: Path) -> list[Any]:
        """Copies of the code: where it lies costs some networks a fifth of their time."""
        return [self._place.load(library) for _ in range(COPIES)]

    def memories(self, memory: Memory) -> list[list[Any]]:
        """Copies of the memory: where it lies costs some kernels a tenth of their time."""
        return [[self._place.tensor(random_block(n, parts)) for n, parts in memory] for _ in range(COPIES)]

    def kernel(self, modules: list[Any], name: str, memories: list[list[Any]]) -> Sampler:
        """Samples of a kernel, called so often at once that the one call from outside costs nothing."""
        first = [(modules[0], [*memories[0], 1])]
        once = self._sampler(name, first)(3, WARM_MS)
        count = max(1, min(MAX_CALLS, round(MIN_CALLS_MS / max(min(once), MIN_MS))))
        calls = [(m, [*tensors, count]) for m, tensors in zip(modules, memories, strict=True)]
        sample = self._sampler(name, calls)
        return lambda samples, sample_ms: [ms / count for ms in sample(samples, sample_ms)]

    def network(self, job: NetworkJob) -> Sampler:
        """Samples of a whole network."""
        modules = self.modules(job.library)
        return self._sampler(job.name, [(m, [self._place.tensor(a) for a in job.arrays]) for m in modules])

    def reference(self, library: Path, name: str) -> Sampler:
        """The reference's fastest copy: by a slower one a process would be slower than others."""
        memory = memory_of("native", *REFERENCE)  # of floats, whose arguments are the same on every CPU
        copies = zip(self.modules(library), self.memories(memory), strict=True)
        samplers = {str(i): self.kernel([m], name, [t]) for i, (m, t) in enumerate(copies)}
        (found,) = fastest([samplers])
        return samplers[found]

    def cold(self, module: Any, name: str, tensors: list[Any]) -> float:
        """Milliseconds of a run whose arguments, but the first, are in no cache."""
        timer = module.time_evaluator(name, self._place.device, number=1, repeat=COLD_RUNS, f_preproc=FLUSH)
        return median(in_milliseconds(timer(*tensors).results))

    def _sampler(self, name: str, calls: list[Call]) -> Sampler:
        """Samples of a function, of so many runs as take the time that is asked for, of each copy in turn.

        How many runs that are is found once: TVM's own search for it takes as long again as the sample.
        """

        @cache  # over RPC each costs a round trip
        def evaluator(copy: int, samples: int, runs: int, least_ms: int = 0) -> Callable[..., Any]:
            module, _ = calls[copy]
            timer: Callable[..., Any] = module.time_evaluator(
                name, self._place.device, number=runs, repeat=samples, min_repeat_ms=least_ms
            )
            return timer

        turn = cycle(range(len(calls)))
        (known,) = in_milliseconds(evaluator(0, 1, 1, WARM_MS)(*calls[0][1]).results)

        def sample(samples: int, sample_ms: float) -> list[float]:
            nonlocal known
            runs = max(1, math.ceil(sample_ms * RUNS_MARGIN / max(known, MIN_MS)))
            copy = next(turn)
            found = in_milliseconds(evaluator(copy, samples, runs)(*calls[copy][1]).results)
            known = min(known, *found)
            return found

        return sample


def in_milliseconds(seconds: Sequence[float]) -> list[float]:
    """What a device measured.

    Raises:
        MeasurementError: one is not a finite, positive, sensible number.
    """
    found = [1e3 * each for each in seconds]
    for each in found:
        if not math.isfinite(each) or not 0 < each < MAX_MS:
            raise MeasurementError(f"device: it measured {each} ms, which is no time; measure again")
    return found

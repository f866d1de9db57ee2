"""Profiles a device: measures kernels that stand for a space, and tells what its architectures take."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import count as numbers
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latency.model.effort import effort_of
from latency.model.features import features
from latency.model.regressor import MIN_KERNELS
from search_spaces.errors import BitnasError
from search_spaces.search_space import buildable

if TYPE_CHECKING:
    from latency.model.model import LatencyModel
    from runtime import Workload
    from runtime.cpu import Cpu
    from search_spaces import Buildable
    from search_spaces.search_space import Candidate, SearchSpace

Progress = Callable[[int, int], None]
"""Told how many kernels are measured, and of how many."""

Turns = Callable[[str], AbstractContextManager[bool]]
"""Makes a context that tells whether a piece of work, by its name, is this process's now."""

KERNELS_A_BATCH = 6
"""Kernels that one process measures at a time while others measure others: some two seconds of work."""
POLL_S = 0.2
PROFILED_KERNELS = 60
"""Kernels of a space that are measured before any is estimated."""
SAMPLED_ARCHITECTURES = 100
"""Architectures whose kernels those are chosen from, and whose latencies stand for the space."""
FIRST_SEED = 400_000_000
"""Where the seeds of those architectures begin; no search proposes by these."""


def _always(name: str) -> AbstractContextManager[bool]:
    """All work is this process's."""
    return nullcontext(True)


def sampled(space: "SearchSpace", most: int = SAMPLED_ARCHITECTURES) -> "list[Buildable]":
    """Different architectures of a space, drawn uniformly, the same every time; fewer in a small space."""
    return [buildable(candidate) for candidate in drawn(space, most)]


def drawn(space: "SearchSpace", most: int = SAMPLED_ARCHITECTURES) -> "list[Candidate]":
    """The same of any space, whose candidates need not be bitnas's architectures."""
    found: dict[str, Candidate] = {}
    for seed in numbers(FIRST_SEED):
        if len(found) == most or seed - FIRST_SEED > 10 * most:
            return list(found.values())
        candidate = space.sample(seed)
        found.setdefault(candidate.digest, candidate)
    raise AssertionError("unreachable: the seeds do not end")


def profile(
    model: "LatencyModel",
    space: "SearchSpace",
    progress: Progress,
    turns: Turns = _always,
    most: int = PROFILED_KERNELS,
) -> int:
    """Measure ``most`` kernels of a space, unless as many are measured already; how many this process did.

    Processes that do so at once share the work: ``turns`` says whose a batch is.

    Raises:
        MeasurementError: the device gave no usable time.
    """
    from runtime.target import cpu_of

    kernels = Counter(w for _, kernels in _lowered(space) for w in kernels)
    wanted = min(max(most, MIN_KERNELS), PROFILED_KERNELS, len(kernels))
    model.refresh()
    if len(kernels) - len(model.kernels.lacking(list(kernels))) >= wanted:
        return 0
    chosen, count = representative(kernels, wanted, cpu_of(model.device.target)), 0
    for start in range(0, wanted, KERNELS_A_BATCH):
        with turns(f"kernels-{start}") as is_mine:
            if is_mine:
                model.refresh()
                progress(wanted - len(model.kernels.lacking(chosen)), wanted)
                count += model.kernels.fill(chosen[start : start + KERNELS_A_BATCH])
    while lacking := model.kernels.lacking(chosen):  # others are at these
        progress(wanted - len(lacking), wanted)
        time.sleep(POLL_S)
        with turns(f"kernels-{chosen.index(lacking[0]) // KERNELS_A_BATCH * KERNELS_A_BATCH}") as is_mine:
            model.refresh()
            if is_mine:  # who was at them is gone
                count += model.kernels.fill(model.kernels.lacking(chosen)[:KERNELS_A_BATCH])
    progress(wanted, wanted)
    return count


def representative(kernels: "Counter[Workload]", wanted: int, cpu: "Cpu") -> "list[Workload]":
    """Kernels that differ most from each other, and take much; the most common one is the first.

    The farthest one from all chosen so far is next (Gonzalez 1985, "Clustering to minimize the maximum
    intercluster distance"), its distance weighed by how many instructions the space's networks take for it on
    a CPU.
    """
    every = list(kernels)
    places = _places(every, cpu)
    weights = np.array([0.5 * np.log1p(kernels[w] * effort_of(w, cpu).instructions) + 1 for w in every])
    chosen = [every.index(kernels.most_common(1)[0][0])]
    distances = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < wanted:
        chosen.append(int(np.argmax(distances * weights)))
        distances = np.minimum(distances, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return [every[i] for i in chosen]


def _places(kernels: "Sequence[Workload]", cpu: "Cpu") -> NDArray[np.float64]:
    """Features (n, features), each scaled by its spread."""
    x = np.stack([features(w, cpu) for w in kernels])
    spread = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(spread < 1e-6, 1.0, spread))


def latencies(model: "LatencyModel", space: "SearchSpace") -> list[float]:
    """What architectures of a space take by what is known of the device, in milliseconds, the fastest
    first."""
    return sorted(model.predictor.expected([kernels for _, kernels in _lowered(space)]))


def _lowered(space: "SearchSpace") -> "Iterator[tuple[Buildable, list[Workload]]]":
    """Architectures of a space and their kernels; those that do not lower fail when a trial tries them."""
    from latency.model.workloads import workloads_of

    for architecture in sampled(space):
        with suppress(BitnasError):
            yield architecture, workloads_of(architecture)

"""Gets to know a device: which kernels of a space to measure first, and what its architectures take."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latency.features import amounts_of, features

if TYPE_CHECKING:
    from latency.model import LatencyModel
    from runtime import Workload
    from search_spaces import Architecture
    from search_spaces.search_space import SearchSpace

Progress = Callable[[int, int], None]
"""Told how many kernels are measured, and of how many."""

KERNELS = 60
"""Kernels of a space that are measured before any is estimated."""
SAMPLED = 100
"""Architectures whose kernels those are chosen from, and whose latencies stand for the space."""
SEED = 400_000_000
"""Where the seeds of those architectures begin; no search proposes by these."""


def sampled(space: "SearchSpace", most: int = SAMPLED) -> "list[Architecture]":
    """Different architectures of a space, drawn uniformly, the same every time; fewer in a small space."""
    found: dict[str, Architecture] = {}
    for seed in count(SEED):
        if len(found) == most or seed - SEED > 10 * most:
            return list(found.values())
        architecture = space.sample(seed)
        found.setdefault(architecture.digest, architecture)
    raise AssertionError("unreachable: the seeds do not end")


def get_to_know(model: "LatencyModel", space: "SearchSpace", progress: Progress) -> int:
    """Measure kernels of a space, unless as many are measured already; how many those were.

    Raises:
        MeasurementError: the device gave no usable time.
    """
    from latency.model import workloads_of

    kernels = Counter(w for a in sampled(space) for w in workloads_of(a))
    model.refresh()
    lacking = set(model.lacking(list(kernels)))
    wanted = min(KERNELS, len(kernels)) - (len(kernels) - len(lacking))
    if wanted <= 0:
        return 0
    return model.fill(representative(kernels, [w for w in kernels if w not in lacking], wanted), progress)


def representative(
    kernels: "Counter[Workload]", known: "Sequence[Workload]", wanted: int
) -> "list[Workload]":
    """Kernels that differ most from those that are known and from each other, and take much.

    The farthest one from all chosen so far is next (Gonzalez 1985, "Clustering to minimize the maximum
    intercluster distance"), its distance weighed by how much the space's networks compute in it.
    """
    every = list(kernels)
    places = _places(every)
    weights = np.array([0.5 * np.log1p(kernels[w] * amounts_of(w)["macs"]) + 1 for w in every])
    chosen = [every.index(w) for w in known]
    if not chosen:
        chosen.append(every.index(kernels.most_common(1)[0][0]))
        wanted -= 1
    distances = np.min([np.linalg.norm(places - places[i], axis=1) for i in chosen], axis=0)
    found = chosen[len(known) :]
    for _ in range(wanted):
        found.append(int(np.argmax(distances * weights)))
        distances = np.minimum(distances, np.linalg.norm(places - places[found[-1]], axis=1))
    return [every[i] for i in found]


def _places(kernels: "Sequence[Workload]") -> NDArray[np.float64]:
    """Features (n, features), each scaled by its spread."""
    x = np.stack([features(w) for w in kernels])
    spread = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(spread < 1e-6, 1.0, spread))


def latencies(model: "LatencyModel", space: "SearchSpace") -> list[float]:
    """What architectures of a space take by what is known of the device, in milliseconds, the fastest
    first."""
    return sorted(model.estimate(architecture).milliseconds for architecture in sampled(space))

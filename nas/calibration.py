"""Fills a device's latency table, learns from whole networks, and says how far predictions can be trusted."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from latency import LatencyModel
    from runtime import Workload
    from search_spaces import Architecture
    from search_spaces.search_space import SearchSpace

Progress = Callable[[str, int, int], None]
"""Told what is done, how many are, and of how many."""

SEED_LEARNED, SEED_UNSEEN = 0, 1_000_000  # where the seeds begin of what is learned from and what is judged
UNSEEN = 30
"""Networks that a calibration is judged by; they are not learned from."""
FEWEST = 5
"""Networks that a calibration is judged by at least, however little time there was."""
LEARNING = 0.75
"""The share of a calibration's time that goes into learning."""
POOL = 8
"""Architectures among which the next to learn from is chosen."""


@dataclass(frozen=True)
class Judged:
    """One network: what was predicted, what the interval was, and what was measured, in milliseconds."""

    digest: str
    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    measured_ms: float

    @property
    def error(self) -> float:
        """The prediction's relative error."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Evaluation:
    """How predictions compare with measurements; shares are between 0 and 1."""

    networks: tuple[Judged, ...]

    @property
    def mape(self) -> float:
        """The mean absolute relative error."""
        return float(np.mean([abs(n.error) for n in self.networks]))

    def within(self, share: float) -> float:
        """The share of networks whose relative error is at most ``share``."""
        return float(np.mean([abs(n.error) <= share for n in self.networks]))

    @property
    def tau(self) -> float:
        """Kendall's rank correlation, tau-b, of predictions and measurements."""
        return kendall_tau(
            np.array([n.predicted_ms for n in self.networks]),
            np.array([n.measured_ms for n in self.networks]),
        )

    @property
    def coverage(self) -> float | None:
        """The share of measurements that lie in their interval; None where there are no intervals."""
        held = [
            n.low_ms <= n.measured_ms <= n.high_ms
            for n in self.networks
            if n.low_ms is not None and n.high_ms is not None
        ]
        return float(np.mean(held)) if held else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "networks": [asdict(network) for network in self.networks],
            "mape": self.mape,
            "within_5_percent": self.within(0.05),
            "within_10_percent": self.within(0.1),
            "kendall_tau": self.tau,
            "interval_coverage": self.coverage,
        }


def kendall_tau(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Kendall's tau-b (1945), with ties; 0 where one side is all ties."""
    a, b = (np.sign(x[:, None] - x[None, :])[np.triu_indices(len(x), 1)] for x in (left, right))
    norm = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / norm) if norm else 0.0


def architectures(space: "SearchSpace", first_seed: int) -> "Iterator[Architecture]":
    """Different architectures of a space, by seeds from ``first_seed`` on; ends where no new ones come."""
    seen: set[str] = set()
    seed, fruitless = first_seed, 0
    while fruitless < 1000:
        architecture = space.sample(seed)
        seed += 1
        if architecture.digest in seen:
            fruitless += 1
            continue
        fruitless = 0
        seen.add(architecture.digest)
        yield architecture


def measure_space(model: "LatencyModel", space: "SearchSpace", count: int, progress: Progress) -> int:
    """Measure the kernels of ``count`` architectures that the table lacks; how many those were.

    Every measurement is kept at once: what was interrupted goes on where it was.
    """
    from latency.model import workloads_of

    wanted: dict[Workload, None] = {}
    for architecture, _ in zip(architectures(space, SEED_LEARNED), range(count), strict=False):
        wanted |= dict.fromkeys(workloads_of(architecture))
    lacking = model.lacking(list(wanted))
    for done, workload in enumerate(lacking):
        progress("kernels", done, len(lacking))
        model.times([workload])
    progress("kernels", len(lacking), len(lacking))
    return len(lacking)


def calibrate(
    model: "LatencyModel", space: "SearchSpace", minutes: float, most: int, progress: Progress
) -> Evaluation:
    """Measure whole networks to learn from for so long, then judge by others.

    The next network is the one of a few that is least like those measured: where none was near, the error is
    likely the largest.

    Raises:
        InvalidInput: the time was too short for a single fit.
    """
    from latency.correction import LEAST

    started = time.monotonic()
    deadline = started + minutes * 60
    learned = len(model.table.networks(model.device.identity))
    source = architectures(space, SEED_LEARNED + 10_000 * learned)
    measured: list[NDArray[Any]] = []
    while learned < most and (learned < LEAST or time.monotonic() < started + LEARNING * minutes * 60):
        progress("networks", learned, most)
        architecture = _least_like(source, measured)
        if architecture is None:
            break
        if time.monotonic() > deadline:
            problem = f"{minutes:g} were too few for {LEAST} networks, {learned} are measured"
            raise InvalidInput("--minutes", problem, "repeat the command, it goes on from there")
        model.times(_workloads(architecture))
        model.learn(architecture, model.measure_network(architecture))
        measured.append(_place(architecture))
        learned += 1
    progress("networks", learned, learned)
    return evaluate(model, space, UNSEEN, SEED_UNSEEN, progress, deadline)


def evaluate(
    model: "LatencyModel",
    space: "SearchSpace",
    count: int,
    seed: int,
    progress: Progress,
    deadline: float | None = None,
) -> Evaluation:
    """Predict ``count`` networks of a space, then measure each as it is compiled.

    Past the ``deadline``, of ``time.monotonic()``, no more than ``FEWEST`` are.
    """
    judged: list[Judged] = []
    for done, architecture in enumerate(architectures(space, seed)):
        is_late = deadline is not None and time.monotonic() > deadline and done >= FEWEST
        if done == count or is_late:
            break
        progress("unseen networks", done, count)
        predicted = model.predict(architecture)
        measured = model.measure_network(architecture).milliseconds
        judged.append(
            Judged(architecture.digest, predicted.milliseconds, predicted.low, predicted.high, measured)
        )
    progress("unseen networks", len(judged), len(judged))
    return Evaluation(tuple(judged))


def unseen_kernels(workloads: "Sequence[Workload]", milliseconds: Sequence[float]) -> float:
    """The regressor's mean absolute relative error on kernels of a family and size that it has not seen.

    Each group of one family and one power of two of work is left out in turn.
    """
    from latency.features import amounts_of
    from latency.regressor import KernelRegressor

    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, workload in enumerate(workloads):
        amounts = amounts_of(workload)
        groups[workload.family, int(np.log2(1 + amounts["macs"] + amounts["output"]))].append(index)
    folds: list[list[int]] = [[] for _ in range(min(10, len(groups)))]
    for number, key in enumerate(sorted(groups)):
        folds[number % len(folds)] += groups[key]
    errors = []
    for held in folds:
        kept = sorted(set(range(len(workloads))) - set(held))
        regressor = KernelRegressor([workloads[i] for i in kept], [milliseconds[i] for i in kept])
        found = regressor.predict([workloads[i] for i in held])
        errors += [abs(e.milliseconds / milliseconds[i] - 1) for i, e in zip(held, found, strict=True)]
    return float(np.mean(errors))


def _workloads(architecture: "Architecture") -> "list[Workload]":
    from latency.model import workloads_of

    return workloads_of(architecture)


def _least_like(source: "Iterator[Architecture]", measured: list[NDArray[Any]]) -> "Architecture | None":
    pool = [architecture for architecture, _ in zip(source, range(POOL), strict=False)]
    if not pool:
        return None
    if not measured:
        return pool[0]
    known = np.stack(measured)
    return max(pool, key=lambda a: float(np.abs(known - _place(a)).sum(axis=1).min()))


def _place(architecture: "Architecture") -> NDArray[Any]:
    """Where an architecture lies among others: logarithms of what its kernels do, by family."""
    from latency.features import amounts_of
    from runtime.kernels.base import kernels

    sums = dict.fromkeys(sorted(kernels), 0.0)
    for workload in _workloads(architecture):
        amounts = amounts_of(workload)
        sums[workload.family] += amounts["macs"] + amounts["constant"] + amounts["output"]
    return np.asarray(np.log1p(list(sums.values())))

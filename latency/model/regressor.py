"""Predicts kernels that were never measured, from those that were: what the things that they do cost.

What that leaves, as a logarithm, is a Gaussian process over features: a line, and a Matern kernel on what the
line leaves (Rasmussen and Williams 2006, chapters 2 and 4). Networks are sums over kernels, and so are judged
their intervals: they are widened until they hold what they promise of sums over measured kernels, each
predicted by a fit that did not see it (Vovk 2015, "Cross-conformal predictors").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latency.model.costs import Costs, Things, things_of
from latency.model.effort import effort_of
from latency.model.features import features

if TYPE_CHECKING:
    from runtime import Workload
    from runtime.cpu import Cpu

MIN_KERNELS = 20
"""Kernels that a fit needs."""
MAX_KERNELS = 1000
"""Kernels that a fit uses, the last measured: its time grows with the cube."""
TUNING_KERNELS = 250
"""Kernels by which the process's own parameters and intervals are chosen, for the same reason."""
COVERAGE = 0.9
"""The share of measurements that an interval is to hold."""
NORMAL_QUANTILE = 1.645
"""Standard deviations to each side that hold ``COVERAGE`` of a normal distribution."""
FOLDS = 10
SUMS, SUMMED_KERNELS = 200, 10
"""Sums by which intervals are judged, and kernels of each: those of a network that are unlike each other."""
MIN_WIDENING = 1.25
"""By how much intervals are wider than the process says, at least: few kernels tell little of their ends."""


@dataclass(frozen=True)
class Estimate:
    """A predicted time with the interval that holds ``COVERAGE`` of measurements, in milliseconds."""

    milliseconds: float
    low: float
    high: float


class Seen(NamedTuple):
    """What a fit sees of kernels: what they do, their features (n, features), and how they compute (n,)."""

    things: list[Things]
    x: NDArray[np.float64]
    ways: NDArray[np.str_]

    @classmethod
    def of(cls, workloads: "Sequence[Workload]", cpu: "Cpu") -> "Seen":
        """All of it, for kernels that are made for a CPU."""
        x = np.stack([features(w, cpu) for w in workloads])
        ways = np.array([effort_of(w, cpu).way for w in workloads])
        return cls([things_of(w, cpu) for w in workloads], x, ways)

    def take(self, rows: NDArray[Any]) -> "Seen":
        """Some of the kernels."""
        return Seen([self.things[i] for i in rows], self.x[rows], self.ways[rows])


MOST_SPREAD = math.log(1e6)
"""Of a time's logarithm, to either side. Such an estimate says nothing, and a larger one would overflow."""


class KernelRegressor:
    """Fitted on the rows of a latency table, of kernels that are made for one CPU."""

    def __init__(self, workloads: Sequence["Workload"], milliseconds: Sequence[float], cpu: "Cpu") -> None:
        """Fit.

        Raises:
            ValueError: there are fewer than ``MIN_KERNELS`` kernels.
        """
        if len(workloads) < MIN_KERNELS:
            raise ValueError(f"{len(workloads)} kernels are too few to learn from, {MIN_KERNELS} are needed")
        self._cpu = cpu
        seen = Seen.of(workloads[-MAX_KERNELS:], cpu)
        times = np.asarray(milliseconds[-MAX_KERNELS:], np.float64)
        self._fit = Fit(seen, times)
        some = _some(len(times))
        self._widening, self._widening_alone = _widenings(seen.take(some), times[some], self._fit.kernel)

    def predict(self, workloads: Sequence["Workload"]) -> list[Estimate]:
        """An estimate for each kernel."""
        if not workloads:
            return []
        times, deviations = self._fit.predict(Seen.of(workloads, self._cpu))
        spreads = NORMAL_QUANTILE * self._widening_alone * deviations
        factors = np.exp(np.minimum(spreads, MOST_SPREAD))
        return [
            Estimate(float(ms), float(ms / factor), float(ms * factor))
            for ms, factor in zip(times, factors, strict=True)
        ]

    def doubt(self, workloads: Sequence["Workload"]) -> float:
        """The standard deviation of the sum of kernels, in milliseconds; each counts as often as it is
        there."""
        if not workloads:
            return 0.0
        seen = Seen.of(workloads, self._cpu)
        return self._widening * _doubt(*self._fit.predict(seen), seen.ways)


class Fit:
    """What things cost, and a Gaussian process of what they leave."""

    def __init__(self, seen: Seen, milliseconds: NDArray[Any], kernel: Any = None) -> None:
        """``kernel`` is that of the process, by default the likeliest one."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from threadpoolctl import threadpool_limits

        self._mean, deviation = seen.x.mean(axis=0), seen.x.std(axis=0)
        self._scale = np.where(deviation < 1e-6, 1.0, deviation) * np.sqrt(seen.x.shape[1])
        scaled = self._scaled(seen.x)
        with threadpool_limits(1):  # matrices are small, and threads that wait spin beside other workers
            self._costs = Costs(seen.things, milliseconds)
            left = np.log(milliseconds / self._costs.milliseconds(seen.things))
            self.kernel = _tuned(scaled, left) if kernel is None else kernel
            process = GaussianProcessRegressor(self.kernel, optimizer=None, normalize_y=True)
            self._process = process.fit(scaled, left)

    def predict(self, seen: Seen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Milliseconds of kernels (n,), and the standard deviations of their logarithms (n,)."""
        left, deviations = self._process.predict(self._scaled(seen.x), return_std=True)
        return self._costs.milliseconds(seen.things) * np.exp(left), deviations

    def _scaled(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((x - self._mean) / self._scale)


def _doubt(times: NDArray[Any], deviations: NDArray[Any], ways: NDArray[Any]) -> float:
    """The standard deviation of a sum: kernels of one way err alike, those of others do not."""
    _, numbers = np.unique(ways, return_inverse=True)
    return float(np.sqrt((np.bincount(numbers, times * deviations) ** 2).sum()))


def _widenings(seen: Seen, milliseconds: NDArray[Any], kernel: Any) -> tuple[float, float]:
    """By how much intervals of sums, and those of kernels alone, must be wider to hold what they promise."""
    count = len(milliseconds)
    order = np.random.default_rng(0).permutation(count)
    times, deviations = np.empty(count), np.empty(count)
    for held in (order[fold::FOLDS] for fold in range(FOLDS)):
        kept = np.setdiff1d(order, held)
        times[held], deviations[held] = Fit(seen.take(kept), milliseconds[kept], kernel).predict(
            seen.take(held)
        )
    draws = np.random.default_rng(1)
    sums = [draws.permutation(count)[:SUMMED_KERNELS] for _ in range(SUMS)]
    errors = [
        abs(times[s].sum() - milliseconds[s].sum()) / _doubt(times[s], deviations[s], seen.ways[s])
        for s in sums
    ]
    widening = max(MIN_WIDENING, quantile(np.array(errors), COVERAGE) / NORMAL_QUANTILE)
    alone = np.abs(np.log(times / milliseconds)) / deviations
    return widening, max(widening, quantile(alone, COVERAGE) / NORMAL_QUANTILE)


def _some(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(count)[:TUNING_KERNELS]


def _tuned(x: NDArray[Any], y: NDArray[Any]) -> Any:
    """The kernel of the process, its parameters the most likely ones for some of the rows."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

    some = _some(len(y))
    line = ConstantKernel(1.0, (1e-3, 1e3)) * DotProduct(1.0, (1e-3, 1e3))
    rest = ConstantKernel(1.0, (1e-3, 1e3)) * Matern(1.0, (0.05, 20.0), nu=1.5)
    kernel = line + rest + WhiteKernel(1e-2, (1e-4, 1.0))
    with _bounds_may_be_met():
        return GaussianProcessRegressor(kernel, normalize_y=True).fit(x[some], y[some]).kernel_


def _bounds_may_be_met() -> Any:
    """Parameters at the ends of their ranges are no fault: few rows tell little of some."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)


def estimates_unseen(
    workloads: Sequence["Workload"],
    milliseconds: Sequence[float],
    cpu: "Cpu",
    folds: Sequence[Sequence[int]],
) -> NDArray[np.float64]:
    """What each kernel is estimated to take by a fit that saw nothing of its fold, in milliseconds."""
    seen, times = Seen.of(workloads, cpu), np.asarray(milliseconds, np.float64)
    found = np.empty(len(times))
    for held in map(np.asarray, folds):
        kept = np.setdiff1d(np.arange(len(times)), held)[-MAX_KERNELS:]
        found[held], _ = Fit(seen.take(kept), times[kept]).predict(seen.take(held))
    return found


def quantile(errors: NDArray[Any], coverage: float) -> float:
    """The conformal quantile: the ceil((n + 1) * coverage)-th smallest error."""
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * coverage)))
    return float(np.sort(errors)[rank - 1])

"""Predicts kernels that were never measured, from those that were: a Gaussian process on logarithms.

A line through the features, and a Matern kernel on what the line leaves (Rasmussen and Williams 2006,
chapters 2 and 4). It tells how the errors of kernels go together, so that a sum over a network's kernels has
an interval, too. Intervals are widened until they hold what they promise on the measured kernels, each left
out in turn (chapter 5.4.2, equations 5.10 to 5.12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.model.features import features

if TYPE_CHECKING:
    from runtime import Workload

MIN_KERNELS = 20
"""Kernels that a fit needs."""
MAX_KERNELS = 1000
"""Kernels that a fit uses, the last measured: its time grows with the cube."""
TUNING_KERNELS = 250
"""Kernels by which the process's own parameters are chosen, for the same reason."""
COVERAGE = 0.9
"""The share of measurements that an interval is to hold."""
MIN_WIDENING = 1.75
"""By how much intervals are wider than the process says, at least: kernels that were chosen to be measured
lie better around each other than those to be predicted lie around them."""
NORMAL_QUANTILE = 1.645
"""Standard deviations to each side that hold ``COVERAGE`` of a normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A predicted time with the interval that holds ``COVERAGE`` of measurements, in milliseconds."""

    milliseconds: float
    low: float
    high: float


class KernelRegressor:
    """Fitted on the rows of a latency table."""

    def __init__(self, workloads: Sequence["Workload"], milliseconds: Sequence[float]) -> None:
        """Fit.

        Raises:
            ValueError: there are fewer than ``MIN_KERNELS`` kernels.
        """
        if len(workloads) < MIN_KERNELS:
            raise ValueError(f"{len(workloads)} kernels are too few to learn from, {MIN_KERNELS} are needed")
        x = np.stack([features(w) for w in workloads[-MAX_KERNELS:]])
        y = np.log(np.asarray(milliseconds[-MAX_KERNELS:], np.float64))
        self._process = Process(x, y)

    def predict(self, workloads: Sequence["Workload"]) -> list[Estimate]:
        """An estimate for each kernel."""
        if not workloads:
            return []
        logs, covariance = self._process.predict(np.stack([features(w) for w in workloads]))
        factors = np.exp(NORMAL_QUANTILE * np.sqrt(np.diag(covariance)))
        return [
            Estimate(float(ms), float(ms / factor), float(ms * factor))
            for ms, factor in zip(np.exp(logs), factors, strict=True)
        ]

    def doubt(self, workloads: Sequence["Workload"]) -> float:
        """The standard deviation of the sum of kernels, in milliseconds; each counts as often as it is
        there."""
        if not workloads:
            return 0.0
        logs, covariance = self._process.predict(np.stack([features(w) for w in workloads]))
        times = np.exp(logs)
        return float(np.sqrt(max(0.0, times @ covariance @ times)))


class Process:
    """A Gaussian process of logarithms over features, with errors that are as large as those on unseen
    rows."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from threadpoolctl import threadpool_limits

        self._mean, deviation = x.mean(axis=0), x.std(axis=0)
        self._scale = np.where(deviation < 1e-6, 1.0, deviation) * np.sqrt(x.shape[1])
        scaled = self._scaled(x)
        with threadpool_limits(1):  # matrices are small, and threads that wait spin beside other workers
            kernel = _tuned(scaled, y)
            self._fitted = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True).fit(scaled, y)
            self._widening = self._widened(scaled, y)

    def predict(self, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The logarithms of rows (n, features) -> (n,), and the covariance (n, n) of their errors."""
        logs, covariance = self._fitted.predict(self._scaled(x), return_cov=True)
        return logs, covariance * self._widening**2

    def _scaled(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((x - self._mean) / self._scale)

    def _widened(self, x: NDArray[Any], y: NDArray[Any]) -> float:
        """By how much intervals must be wider to hold what they promise on rows that are left out."""
        inverse = np.linalg.inv(self._fitted.kernel_(x) + self._fitted.alpha * np.eye(len(x)))
        centred = (y - y.mean()) / (y.std() or 1.0)
        errors = np.abs(inverse @ centred) / np.sqrt(np.diag(inverse))  # in standard deviations
        return max(MIN_WIDENING, quantile(errors, COVERAGE) / NORMAL_QUANTILE)


def _tuned(x: NDArray[Any], y: NDArray[Any]) -> Any:
    """The kernel of the process, its parameters the most likely ones for some of the rows."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

    some = np.random.default_rng(0).permutation(len(y))[:TUNING_KERNELS]
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
    workloads: Sequence["Workload"], milliseconds: Sequence[float], folds: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """What each kernel is estimated to take by a fit that saw nothing of its fold, in milliseconds."""
    x = np.stack([features(w) for w in workloads])
    y = np.log(np.asarray(milliseconds, np.float64))
    found = np.empty(len(y))
    for held in map(np.asarray, folds):
        kept = np.setdiff1d(np.arange(len(y)), held)[-MAX_KERNELS:]
        found[held] = Process(x[kept], y[kept]).predict(x[held])[0]
    return np.asarray(np.exp(found))


def quantile(errors: NDArray[Any], coverage: float) -> float:
    """The conformal quantile: the ceil((n + 1) * coverage)-th smallest error."""
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * coverage)))
    return float(np.sort(errors)[rank - 1])

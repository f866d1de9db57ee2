"""Predicts kernels that were never measured, from those that were.

A line through logarithms, and trees on what the line leaves.

Intervals are conformal (Vovk et al. 2005; Lei et al. 2018): the spread of errors on kernels that the fit had
not seen is the spread that is promised for others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.features import features

if TYPE_CHECKING:
    from runtime import Workload

FOLDS = 5
LEAST = 20
"""Kernels that a fit needs."""
COVERAGE = 0.9
"""The share of measurements that an interval is to hold."""


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
            ValueError: there are fewer than ``LEAST`` kernels.
        """
        if len(workloads) < LEAST:
            raise ValueError(f"{len(workloads)} kernels are too few to learn from, {LEAST} are needed")
        x = np.stack([features(w) for w in workloads])
        y = np.log(np.asarray(milliseconds, np.float64))
        self._line, self._trees = _fit(x, y)
        order = np.random.default_rng(0).permutation(len(y))
        folds = [order[fold::FOLDS] for fold in range(FOLDS)]
        self._spread = quantile(np.abs(_held_out(x, y, folds) - y), COVERAGE)

    def predict(self, workloads: Sequence["Workload"]) -> list[Estimate]:
        """An estimate for each kernel."""
        if not workloads:
            return []
        x = np.stack([features(w) for w in workloads])
        logs = _predict(self._line, self._trees, x)
        factor = float(np.exp(self._spread))
        return [Estimate(float(ms), float(ms / factor), float(ms * factor)) for ms in np.exp(logs)]


def _fit(x: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any]:
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    line = make_pipeline(StandardScaler(), Ridge(1.0)).fit(x, y)
    trees = GradientBoostingRegressor(
        n_estimators=300, max_depth=5, learning_rate=0.05, subsample=0.7, random_state=0
    ).fit(x, y - line.predict(x))
    return line, trees


def _predict(line: Any, trees: Any, x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(line.predict(x) + trees.predict(x))


def estimates_unseen(
    workloads: Sequence["Workload"], milliseconds: Sequence[float], folds: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """What each kernel is estimated to take by a fit that saw nothing of its fold, in milliseconds."""
    x = np.stack([features(w) for w in workloads])
    y = np.log(np.asarray(milliseconds, np.float64))
    return np.asarray(np.exp(_held_out(x, y, [np.asarray(fold) for fold in folds])))


def _held_out(x: NDArray[Any], y: NDArray[Any], folds: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Each logarithm as it is predicted by a fit without its fold."""
    found = np.empty(len(y))
    for held in folds:
        kept = np.setdiff1d(np.arange(len(y)), held)
        found[held] = _predict(*_fit(x[kept], y[kept]), x[held])
    return found


def quantile(errors: NDArray[Any], coverage: float) -> float:
    """The conformal quantile: the ceil((n + 1) * coverage)-th smallest error."""
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * coverage)))
    return float(np.sort(errors)[rank - 1])

"""What a sum over kernels misses, fitted on whole networks of a device: calls, and caches others filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.features import amounts_of
from latency.regressor import COVERAGE, Estimate, quantile

if TYPE_CHECKING:
    from runtime import Workload

LEAST = 10
"""Networks that a fit needs."""
FLOOR = 1e-12


@dataclass(frozen=True)
class KernelTime:
    """One kernel of a network: its time alone, warm and cold (None if not known), in milliseconds."""

    workload: "Workload"
    milliseconds: float
    cold_ms: float | None = None
    is_measured: bool = True


class Correction:
    """Turns the times of kernels into that of their network.

    measured = c . terms, with c >= 0, by least squares of relative errors; ``terms`` says which.
    """

    def __init__(self, networks: Sequence[Sequence[KernelTime]], milliseconds: Sequence[float]) -> None:
        """Fit.

        Raises:
            ValueError: there are fewer than ``LEAST`` networks.
        """
        if len(networks) < LEAST:
            raise ValueError(f"{len(networks)} networks are too few to learn from, {LEAST} are needed")
        x = np.stack([terms(network) for network in networks])
        y = np.asarray(milliseconds, np.float64)
        self.coefficients = _fit(x, y)
        self._spread = quantile(_errors_unseen(x, y), COVERAGE)

    def predict(self, network: Sequence[KernelTime]) -> Estimate:
        """A network's time, and the interval that holds ``COVERAGE`` of measurements."""
        found = float(terms(network) @ self.coefficients)
        return Estimate(found, found * (1 - self._spread), found * (1 + self._spread))


def terms(network: Sequence[KernelTime]) -> NDArray[np.float64]:
    """The terms of the sum for one network: one, its calls, and milliseconds."""
    amounts = [amounts_of(kernel.workload) for kernel in network]
    constants = sum(a["constant"] for a in amounts)
    total = sum(kernel.milliseconds for kernel in network)
    cold = shared = 0.0
    for kernel, amount in zip(network, amounts, strict=True):
        extra = max(0.0, (kernel.cold_ms or kernel.milliseconds) - kernel.milliseconds)
        own = amount["constant"]
        cold += extra
        shared += extra * (1 - own / constants) if constants else 0.0
    return np.array([1.0, len(network), total, cold, shared, constants * 1e-9])


def _fit(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    from sklearn.linear_model import LinearRegression

    scale = np.maximum(np.abs(x).max(axis=0), FLOOR)  # terms differ by orders of magnitude
    model = LinearRegression(fit_intercept=False, positive=True)
    model.fit(x / scale / y[:, None], np.ones(len(y)))
    return np.asarray(model.coef_ / scale)


def _errors_unseen(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """The relative error on each network, by a fit that did not see it."""
    errors = np.empty(len(y))
    for i in range(len(y)):
        kept = np.arange(len(y)) != i
        errors[i] = abs(x[i] @ _fit(x[kept], y[kept]) / max(y[i], FLOOR) - 1)
    return errors

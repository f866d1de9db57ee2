"""What a sum over kernels misses, fitted on whole networks of a device: calls, and caches others filled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.model.effort import amounts_of
from latency.model.regressor import COVERAGE, Estimate, quantile

if TYPE_CHECKING:
    from runtime import Workload

MIN_NETWORKS = 10
"""Networks that a fit needs."""

CALL_CODE = 30
"""Bytes of code for each call of a kernel, on x86-64."""

CODE_KNOTS = (8, 16, 32, 64)
"""Kilobytes from which more code may cost another time: the sizes of instruction caches."""

SUM_TERM = 2  # the index of the kernels' sum among the terms
RIDGE = 1.0  # how strongly a network is taken for the sum of its kernels
HUBER_EPSILON = 1.35  # errors of so many standard deviations count as one that is linear (Huber 1964)
MAX_FACTOR = 2.0  # a network takes at most so many times what its kernels take, and at least the inverse
MAX_ITERATIONS = 1000
FOLDS = 10
MIN_SCALE = 1e-12


@dataclass(frozen=True)
class KernelTime:
    """One kernel of a network: its time alone, in milliseconds, and how much code it has.

    Attributes:
        workload: what it computes.
        milliseconds: its time.
        cold_ms: its time when nothing but its input is in a cache; None if not known.
        code_bytes: its machine code; 0 if not known.
        estimate: the interval of a time that was estimated; None of one that was measured.
    """

    workload: "Workload"
    milliseconds: float
    cold_ms: float | None = None
    code_bytes: float = 0.0
    estimate: Estimate | None = None


class Correction:
    """Turns the times of kernels into that of their network.

    measured = sum of the kernels + c . terms; ``terms`` says which. The coefficients are small ones (ridge)
    that fit the relative errors, of which large ones count less (Huber 1964, "Robust Estimation of a Location
    Parameter").
    """

    def __init__(self, networks: Sequence[Sequence[KernelTime]], milliseconds: Sequence[float]) -> None:
        """Fit.

        Raises:
            ValueError: there are fewer than ``MIN_NETWORKS`` networks.
        """
        if len(networks) < MIN_NETWORKS:
            raise ValueError(f"{len(networks)} networks are too few to learn from, {MIN_NETWORKS} are needed")
        x = np.stack([terms(network) for network in networks])
        y = np.asarray(milliseconds, np.float64)
        self.coefficients = _fit(x, y)
        self._spread = quantile(_errors_unseen(x, y), COVERAGE)

    @property
    def miss(self) -> float:
        """How far it is from the whole network: as a logarithm, for ``COVERAGE`` of them."""
        return math.log1p(self._spread)

    def predict(self, network: Sequence[KernelTime]) -> float:
        """A network's time, in milliseconds.

        Networks unlike those of the fit are taken for the sum of their kernels where it would tell nonsense.
        """
        row = terms(network)
        total = float(row[SUM_TERM])
        return float(
            np.clip(_predict(row[None], self.coefficients)[0], total / MAX_FACTOR, total * MAX_FACTOR)
        )


def terms(network: Sequence[KernelTime]) -> NDArray[np.float64]:
    """A network's terms: one, its calls, its kernels' milliseconds, those of cold constants, kB of code.

    Constants are cold to the share that other kernels' constants have of all. Code counts once more from
    each of ``CODE_KNOTS`` on.
    """
    constants = [amounts_of(kernel.workload)["constant"] for kernel in network]
    everything = sum(constants)
    total = cold = 0.0
    for kernel, own in zip(network, constants, strict=True):
        total += kernel.milliseconds
        if kernel.cold_ms is not None and everything:
            cold += max(0.0, kernel.cold_ms - kernel.milliseconds) * (1 - own / everything)
    code = sum({kernel.workload: kernel.code_bytes for kernel in network}.values())
    kilobytes = (code + len(network) * CALL_CODE) / 1e3
    beyond = [max(0.0, kilobytes - knot) for knot in CODE_KNOTS]
    return np.array([1.0, len(network), total, cold, kilobytes, *beyond])


def _predict(x: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(x[:, SUM_TERM] + x @ coefficients)


def _fit(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    from sklearn.linear_model import HuberRegressor

    relative = x / y[:, None]
    scale = np.maximum(np.sqrt((relative**2).mean(axis=0)), MIN_SCALE)  # terms differ by orders of magnitude
    model = HuberRegressor(epsilon=HUBER_EPSILON, alpha=RIDGE, fit_intercept=False, max_iter=MAX_ITERATIONS)
    model.fit(relative / scale, 1 - relative[:, SUM_TERM])
    return np.asarray(model.coef_ / scale)


def _errors_unseen(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """The relative error on each network, by a fit that did not see it."""
    order = np.random.default_rng(0).permutation(len(y))
    errors = np.empty(len(y))
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        kept = np.setdiff1d(order, held)
        errors[held] = np.abs(_predict(x[held], _fit(x[kept], y[kept])) / y[held] - 1)
    return errors

"""A Gaussian process over choices: what a network would reach, and how sure that is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.algorithms.dormancy import Codes
from nas.algorithms.genome import Genome
from nas.algorithms.hypervolume import Floats

_JITTER = 1e-6
"""Keeps a kernel matrix positive definite in float64."""
_CORRELATION = 1.3
"""How far apart, in units of the kernel's exponent, two average networks are taken to be beforehand."""
_BEFOREHAND = 0.7, 0.3, 0.02
"""The variances beforehand: of what choices do together, of what each does on its own, and of noise."""
_SPREAD_OF_WEIGHTS, _SPREADS = 0.5, (1.0, 1.5, 1.5)
"""How far, as factors of e, the weights and those variances may stray from that (one standard deviation)."""
_STEPS = 20


class Kernel:
    """Covariances by the distance of networks: the sum over choices of weight times distance.

    The distance of two options is 1, that of numbers between 1/2 and 1 by how far apart they are in the list;
    a dormant choice is an option of its own, at distance 1 from all others.
    """

    def __init__(self, genome: Genome) -> None:
        self.one_hot = genome.one_hot
        self._distances = [
            _distances(size, is_ordered)
            for size, is_ordered in zip(genome.sizes, genome.is_ordered, strict=True)
        ]

    def __len__(self) -> int:
        return len(self._distances)

    def by_column(self, codes: Codes) -> Floats:
        """The distance of each two rows of codes (n, c) in each column: (c, n, n)."""
        return np.stack([table[np.ix_(codes[:, c], codes[:, c])] for c, table in enumerate(self._distances)])

    def to_each_code(self, codes: Codes, weights: Floats) -> npt.NDArray[np.float32]:
        """The weighted distance of each code of each choice from rows of codes (n, c): (sum of sizes, n).

        One-hot rows times it are the distances of networks.
        """
        tables = zip(self._distances, weights, strict=True)
        parts = [weight * table[:, codes[:, c]] for c, (table, weight) in enumerate(tables)]
        return np.concatenate(parts).astype(np.float32)


def _distances(size: int, is_ordered: bool) -> Floats:
    found = 1.0 - np.eye(size + 1)
    if is_ordered:
        place = np.arange(size)
        apart = np.abs(place[:, None] - place) / (size - 1)
        found[1:, 1:] = np.where(apart > 0, 0.5 + 0.5 * apart, 0.0)
    return found


@dataclass(frozen=True)
class Settings:
    """What a process has learned of a landscape.

    Attributes:
        weights: of the choices (c,).
        variance: of what choices do together, which fades with the distance.
        additive: the variance of what each does on its own, which reaches everywhere.
        noise: the variance of what choices do not explain.
    """

    weights: Floats
    variance: float
    additive: float
    noise: float

    def of_distances(self, distances: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The covariance of networks at weighted distances, of any shape."""
        own = np.float32(self.additive / max(float(self.weights.sum()), 1e-12))
        found = np.exp(-distances) * np.float32(self.variance)
        found -= own * distances
        found += np.float32(self.additive)
        return np.asarray(found)


def learn(kernel: Kernel, codes: Codes, values: Floats) -> Settings:
    """The most likely settings, given what networks (n, c) reached: values (n,) of mean 0 and deviation 1.

    The marginal likelihood times a prior, by its gradient (Rasmussen & Williams 2006, 5.4.1); a choice in
    which no two networks differ has no weight.
    """
    from scipy.optimize import minimize

    distances = kernel.by_column(codes)
    varied = np.flatnonzero(distances.any(axis=(1, 2)))
    weights = np.zeros(len(kernel))
    if not len(varied):
        return Settings(weights, *_BEFOREHAND)
    likelihood = _Likelihood(distances[varied], values)
    found = minimize(
        likelihood,
        likelihood.middle,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-9.0, 5.0)] * len(likelihood.middle),
        options={"maxiter": _STEPS},
    ).x
    weights[varied] = np.exp(found[:-3])
    return Settings(weights, *np.exp(found[-3:]).tolist())


class _Likelihood:
    """The negative logarithm of the posterior of settings' logarithms, and its gradient."""

    def __init__(self, distances: Floats, values: Floats) -> None:
        self._values = values
        count, columns = len(values), len(distances)
        beforehand = _CORRELATION / (distances.sum() / max(1, count * (count - 1)))
        self.middle = np.r_[np.full(columns, np.log(beforehand)), np.log(_BEFOREHAND)]
        self._spread = np.r_[np.full(columns, _SPREAD_OF_WEIGHTS), _SPREADS]
        self._flat = distances.reshape(columns, -1)

    def __call__(self, at: Floats) -> tuple[float, Floats]:
        from scipy.linalg import cho_solve

        weights, (variance, additive, noise) = np.exp(at[:-3]), np.exp(at[-3:])
        count, whole = len(self._values), weights.sum()
        apart = weights @ self._flat
        together, own = variance * np.exp(-apart), additive * (1.0 - apart / whole)
        covariance = (together + own).reshape(count, count) + (noise + _JITTER) * np.eye(count)
        lower = np.linalg.cholesky(covariance)
        inverse = cho_solve((lower, True), np.eye(count))
        alpha = inverse @ self._values
        off = (at - self.middle) / self._spread
        cost = 0.5 * self._values @ alpha + np.log(np.diag(lower)).sum() + 0.5 * off @ off
        slope = 0.5 * (inverse - np.outer(alpha, alpha)).ravel()
        by_distance = -slope * (together + additive / whole)
        by_weight = weights * (self._flat @ by_distance + slope @ apart * additive / whole**2)
        by_rest = slope @ together, slope @ own, noise * slope[:: count + 1].sum()
        return float(cost), np.r_[by_weight, by_rest] + off / self._spread


class Process:
    """A Gaussian process that knows what some networks reached."""

    def __init__(
        self, kernel: Kernel, settings: Settings, codes: Codes, values: Floats, noise: Floats
    ) -> None:
        """Learn values (n,) of networks (n, c); ``noise`` (n,) is how many times the usual each has."""
        from scipy.linalg import cho_solve

        self._kernel, self._settings = kernel, settings
        self._one_hot, self._variance = kernel.one_hot, settings.variance + settings.additive
        self._to_each_code = kernel.to_each_code(codes, settings.weights)
        middle, scale = standard(values)
        own = np.diag(settings.noise * noise + _JITTER)
        lower = np.linalg.cholesky(self._correlated(kernel.one_hot(codes)).astype(np.float64) + own)
        inverse = cho_solve((lower, True), np.eye(len(codes)))
        self._inverse, self._rough_inverse = inverse, inverse.astype(np.float32)
        self._alpha = inverse @ ((values - middle) / scale)
        self._middle, self.scale = middle, scale
        self.noise = scale * float(np.sqrt(settings.noise))
        """The standard deviation of what is not explained by the choices."""

    def _correlated(self, one_hot: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return self._settings.of_distances(one_hot @ self._to_each_code)

    def mean(self, one_hot: npt.NDArray[np.float32]) -> Floats:
        """For networks (m, sum of sizes): (m,)."""
        return np.asarray(self._correlated(one_hot) @ self._alpha * self.scale + self._middle)

    def predict(self, one_hot: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Mean and standard deviation, without noise, for networks (m, sum of sizes): (m,) each."""
        known = self._correlated(one_hot)
        variance = self._variance - np.einsum("ij,ij->i", known @ self._rough_inverse, known).astype(
            np.float64
        )
        deviation = np.sqrt(np.maximum(variance, 1e-4 * self._variance))
        return known @ self._alpha * self.scale + self._middle, self.scale * deviation

    def draw(self, codes: Codes, random: np.random.Generator) -> Floats:
        """One function from the posterior at networks (m, c): (m,)."""
        one_hot = self._one_hot(codes)
        known = self._correlated(one_hot).astype(np.float64)
        distances = one_hot @ self._kernel.to_each_code(codes, self._settings.weights)
        covariance = (
            self._settings.of_distances(distances.astype(np.float64)) - known @ self._inverse @ known.T
        )
        # not by Cholesky, as networks that are nearly alike make it singular
        power, directions = np.linalg.eigh(covariance)
        strength = np.sqrt(np.maximum(power, 0.0)) * random.standard_normal(len(codes))
        drawn = known @ self._alpha + directions @ strength
        return np.asarray(drawn * self.scale + self._middle)


def standard(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The mean and the standard deviation; 1 where there is none."""
    if not len(values):
        return 0.0, 1.0
    unit = np.exp2(np.frexp(np.abs(values).max())[1] - 1.0)  # a power of two: only squares of 1e154 notice
    deviation = float((values / unit).std() * unit)
    return float((values / unit).mean() * unit), deviation if deviation > 0 else 1.0

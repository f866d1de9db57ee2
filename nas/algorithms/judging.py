"""How good candidates may be: what they will reach, what that gains, and whether it is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nas.algorithms.dormancy import Codes
from nas.algorithms.gain import Gain
from nas.algorithms.genome import Genome
from nas.algorithms.hypervolume import Floats
from nas.algorithms.prediction import Predictor

OPTIMISM = 1.0
"""Standard deviations by which candidates are taken to be better than predicted while they are bred."""
_OUTCOMES, _OUTCOMES_OF_SEVERAL = 8, 24
"""Points of the normal distribution for expectations over one uncertain objective, and over several."""


@dataclass(frozen=True)
class Judge:
    """Judges candidates by the objectives and limits of a search, the columns of losses.

    Attributes:
        genome: of the space.
        predictors: of each column; None where nothing can be said.
        is_exact: which columns are known before training (w,).
        objectives: how many columns are objectives; the rest is only limited.
        limits: the greatest allowed loss of each column (w,); infinite where there is no limit.
        gain: over the front; None while there is none.
        hunted: the one objective that is to be better than ever; None where all count.
    """

    genome: Genome
    predictors: Sequence[Predictor | None]
    is_exact: Sequence[bool]
    objectives: int
    limits: Floats
    gain: Gain | None
    hunted: int | None = None

    def forecast(self, codes: Codes) -> "Forecast":
        """What candidates (m, c) are predicted to reach."""
        one_hot = self.genome.one_hot(codes)
        nothing = np.zeros(len(codes)), np.zeros(len(codes))
        found = [nothing if predictor is None else predictor(one_hot) for predictor in self.predictors]
        return Forecast(*(np.stack(part, axis=1) for part in zip(*found, strict=True)))

    def promise(self, codes: Codes) -> Floats:
        """What candidates (m, c) gain if they are somewhat better than predicted: (m,)."""
        forecast = self.forecast(codes)
        deviations = np.where(np.asarray(self.is_exact), 0.0, -OPTIMISM)[None]
        return self.worth(self.losses(forecast, deviations)) * self.allowed(forecast)

    def outcomes(self, forecast: "Forecast") -> Floats:
        """What may become of candidates, each outcome as likely: losses (s, m, w)."""
        return self.losses(forecast, self._deviations)

    def drawn(self, codes: Codes, random: np.random.Generator) -> Floats:
        """What becomes of candidates (m, c) if one function that may be is the truth: (1, m, w)."""
        mean = self.forecast(codes).mean
        for column, predictor in enumerate(self.predictors):
            if predictor is not None and not self.is_exact[column]:
                mean[:, column] = predictor.process.draw(codes, random)
        return self.losses(Forecast(mean, np.zeros_like(mean)), np.zeros((1, mean.shape[1])))

    def losses(self, forecast: "Forecast", deviations: Floats) -> Floats:
        """(s, m, w), so many standard deviations (s, w) from the middle."""
        found = forecast.mean + deviations[:, None, :] * forecast.deviation
        for column, predictor in enumerate(self.predictors):
            if predictor is not None:
                found[:, :, column] = predictor.warp.back(found[:, :, column])
        return found

    def worth(self, losses: Floats) -> Floats:
        """The mean gain of outcomes (s, m, w): (m,)."""
        if self.gain is None:
            return np.ones(losses.shape[1])
        flat = losses[:, :, : self.objectives].reshape(-1, self.objectives)
        found = self.gain(flat) if self.hunted is None else self.gain.in_one(flat, self.hunted)
        return np.asarray(found.reshape(losses.shape[:2]).mean(axis=0))

    def allowed(self, forecast: "Forecast") -> Floats:
        """How likely candidates are within all limits: (m,)."""
        from scipy.special import ndtr

        found = np.ones(len(forecast.mean))
        for column, (predictor, limit) in enumerate(zip(self.predictors, self.limits, strict=True)):
            if predictor is not None and np.isfinite(limit):
                room = predictor.warp.there(limit) - forecast.mean[:, column]
                found *= ndtr(room / np.maximum(forecast.deviation[:, column], 1e-12))
        return found

    @cached_property
    def _deviations(self) -> Floats:
        """Standard deviations of outcomes (s, w), none of exact columns."""
        uncertain = [column for column, exact in enumerate(self.is_exact) if not exact]
        count = 1 if not uncertain else _OUTCOMES if len(uncertain) == 1 else _OUTCOMES_OF_SEVERAL
        found, random = np.zeros((count, len(self.is_exact))), np.random.default_rng(0)
        for place, column in enumerate(uncertain):
            found[:, column] = random.permutation(_middles(count)) if place else _middles(count)
        return found


@dataclass(frozen=True)
class Forecast:
    """Means and standard deviations of losses (m, w), on the scales of their predictors."""

    mean: Floats
    deviation: Floats


def _middles(count: int) -> Floats:
    """Standard normal values, each as likely: the middles of slices of the distribution."""
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(count) + 0.5) / count))

"""How good candidates may be: what they are predicted to reach, what that gains, and whether it is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nas.algorithms.dormancy import Codes
from nas.algorithms.gain import Gain
from nas.algorithms.hypervolume import Floats
from nas.algorithms.prediction import Predictor

OPTIMISM = 1.5
"""Standard deviations by which candidates are taken to be better than predicted while they are bred."""
_DRAWS = 16
"""Of the normal distribution, for expectations over several uncertain objectives."""


@dataclass(frozen=True)
class Judge:
    """Judges candidates by the objectives and limits of a search, the columns of losses.

    Attributes:
        predictors: of each column; None where nothing can be said.
        is_exact: which columns are known before training (w,).
        objectives: how many columns are objectives; the rest is only limited.
        limits: the greatest allowed loss of each column (w,); infinite where there is no limit.
        gain: over the front; None while there is none.
    """

    predictors: Sequence[Predictor | None]
    is_exact: Sequence[bool]
    objectives: int
    limits: Floats
    gain: Gain | None

    def promise(self, codes: Codes) -> Floats:
        """What candidates (m, c) gain if they are somewhat better than predicted: (m,)."""
        deviations = np.where(np.asarray(self.is_exact), 0.0, -OPTIMISM)[None]
        return self.worth(self._losses(codes, deviations)) * self.allowed(codes)

    def outcomes(self, codes: Codes) -> Floats:
        """What may become of candidates (m, c), each outcome as likely: losses (s, m, w)."""
        return self._losses(codes, self._deviations)

    def drawn(self, codes: Codes, random: np.random.Generator) -> Floats:
        """What becomes of candidates (m, c) if one function that may be is the truth (1, m, w)."""
        columns = [
            np.zeros(len(codes))
            if p is None
            else p.quantiles(codes, np.zeros(1))[0]
            if exact
            else p.draw(codes, random)
            for p, exact in zip(self.predictors, self.is_exact, strict=True)
        ]
        return np.stack(columns, axis=1)[None]

    def worth(self, losses: Floats) -> Floats:
        """The mean gain of outcomes (s, m, w): (m,)."""
        if self.gain is None:
            return np.ones(losses.shape[1])
        count = losses.shape[1]
        flat = losses[:, :, : self.objectives].reshape(-1, self.objectives)
        return self.gain(flat).reshape(-1, count).mean(axis=0)

    def allowed(self, codes: Codes) -> Floats:
        """How likely candidates (m, c) are within all limits: (m,)."""
        found = np.ones(len(codes))
        for predictor, limit in zip(self.predictors, self.limits, strict=True):
            if predictor is not None and np.isfinite(limit):
                found *= predictor.below(codes, float(limit))
        return found

    @cached_property
    def _deviations(self) -> Floats:
        """Standard deviations of outcomes (s, w): of exact columns none."""
        uncertain = [column for column, exact in enumerate(self.is_exact) if not exact]
        found = np.zeros((1, len(self.is_exact)))
        if len(uncertain) == 1:
            nodes = _middles(_DRAWS // 2)
            found = np.zeros((len(nodes), len(self.is_exact)))
            found[:, uncertain[0]] = nodes
        elif uncertain:
            found = np.zeros((_DRAWS, len(self.is_exact)))
            found[:, uncertain] = (
                np.random.default_rng(0).permuted(np.tile(_middles(_DRAWS), (len(uncertain), 1)), axis=1).T
            )
        return found

    def _losses(self, codes: Codes, deviations: Floats) -> Floats:
        """(s, m, w), for deviations (s, w)."""
        columns = [
            np.zeros((len(deviations), len(codes)))
            if predictor is None
            else predictor.quantiles(codes, deviations[:, column])
            for column, predictor in enumerate(self.predictors)
        ]
        return np.stack(columns, axis=2)


def _middles(count: int) -> Floats:
    """Standard normal values, each as likely: the middles of slices of the distribution."""
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(count) + 0.5) / count))

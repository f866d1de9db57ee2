"""What a candidate would add to the front: hypervolume on a scale on which objectives are comparable."""

import numpy as np

from nas.algorithms.hypervolume import Floats, boxes, crowding, gains

MARGIN = 0.1
"""How far the reference is behind the worst trial, as a share of the range."""
_NEARNESS = 1e-3
_MOST_ON_FRONT = {1: 1, 2: 128, 3: 96, 4: 32}
_MOST_ELSE = 16
"""Points of a front that gains are computed by: from 4 objectives on each has many boxes."""


class Gain:
    """The gain of hypervolume over a front (n, d)."""

    def __init__(self, front: Floats, losses: Floats) -> None:
        """The reference is behind the worst of all trials' ``losses`` (m, d).

        One that is only behind the worst of the front sees no gain in what lies beyond its ends.
        """
        if len(front) > (most := _MOST_ON_FRONT.get(front.shape[1], _MOST_ELSE)):
            front = front[np.argsort(-crowding(front), kind="stable")[:most]]
        self._best = front.min(axis=0)
        span = losses.max(axis=0) - self._best
        self._span = np.where(span > 0, span, np.maximum(np.abs(self._best), 1e-9))
        self._boxes = boxes((front - self._best) / self._span, np.where(span > 0, 1.0 + MARGIN, MARGIN))

    def __call__(self, losses: Floats) -> Floats:
        """Of candidates (m, d), each on its own: (m,)."""
        return gains((losses - self._best) / self._span, *self._boxes)

    def in_one(self, losses: Floats, column: int) -> Floats:
        """By how much candidates (m, d) are better in one objective than all of the front: (m,).

        Where none is, the nearest to it counts most.
        """
        better = (self._best[column] - losses[:, column]) / self._span[column]
        return np.asarray(np.maximum(better, 0.0) + _NEARNESS * np.exp(np.minimum(better, 0.0)))

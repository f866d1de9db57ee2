"""What a candidate would add to the front: hypervolume, on a scale on which objectives are comparable."""

import numpy as np

from nas.algorithms.hypervolume import Floats, boxes, crowding, gains, non_dominated

MARGIN = 0.1
"""How far the reference is behind the front, as a share of the front's range."""
_MOST_ON_FRONT = {1: 1, 2: 128, 3: 96, 4: 32}
_MOST_ELSE = 16
"""Points of a front that gains are computed by; there are many more boxes than points from 4 objectives on."""


class Gain:
    """The gain of hypervolume over a front of losses (n, d)."""

    def __init__(self, losses: Floats) -> None:
        front = losses[non_dominated(losses)]
        if len(front) > (most := _MOST_ON_FRONT.get(losses.shape[1], _MOST_ELSE)):
            front = front[np.argsort(-crowding(front), kind="stable")[:most]]
        self._ideal = front.min(axis=0)
        span = front.max(axis=0) - self._ideal
        # a front of one point tells no range, and what was seen beside it does
        wide = losses.max(axis=0) - self._ideal
        self._span = np.where(span > 0, span, np.where(wide > 0, wide, np.maximum(np.abs(self._ideal), 1e-9)))
        reference = np.full(losses.shape[1], 1.0 + MARGIN)
        self._boxes = boxes(
            (front - self._ideal) / self._span, np.where(span > 0, reference, MARGIN + (wide > 0))
        )

    def __call__(self, losses: Floats) -> Floats:
        """Of candidates (m, d), each on its own: (m,)."""
        return gains((losses - self._ideal) / self._span, *self._boxes)

"""What trials that were stopped early tell of what they would have reached."""

import numpy as np
import numpy.typing as npt

from nas.algorithms.hypervolume import Floats

HANDICAP = 0.5
"""By how many standard deviations stopped trials are taken to be worse than what is predicted for them: a
trial is stopped as it does badly."""
_UNSURE = 0.5
"""How far off that may be, in standard deviations of what was reached."""


def corrected(reached: Floats, predicted: Floats, epochs: npt.NDArray[np.int64], scale: float) -> Floats:
    """What stopped trials (n,) are taken to reach in the end, less being better.

    Of those stopped after as many epochs, how much better one was than another counts, and not how good all
    of them were: the shift to what the model of whole trainings predicts for them is taken off.

    Args:
        reached: what they had got to.
        predicted: what they would reach by the model of those that were trained to the end.
        epochs: after which they were stopped.
        scale: the standard deviation of what is reached in the end.
    """
    found = reached - predicted
    for epoch in np.unique(epochs):
        group = epochs == epoch
        found[group] -= found[group].mean()
    return predicted + found + HANDICAP * scale


def noise_of_stopped(noise: float) -> float:
    """How many times the usual noise, a share of the variance, they have."""
    return 1.0 + _UNSURE**2 / noise

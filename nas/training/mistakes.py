"""What a network gets wrong: its classes for the images of a split, and its most certain mistakes."""

import numpy as np
from numpy.typing import NDArray

from nas.ledger.mistakes import Mistake, Predictions
from nas.training.loop import Judged

MANY_CLASSES, MOST_PAIRS = 100, 100
"""Of more classes only the most frequent mistakes are kept: which class for which, so many pairs."""
MOST_IMAGES = 12
_DIGITS = 6
"""Of a probability."""


def counted(judged: Judged, labels: NDArray[np.int64], classes: int) -> Predictions:
    """What is kept of what a network made of images of the classes ``labels`` (N,)."""
    is_wrong = judged.classes != labels
    is_listed = is_wrong if classes > MANY_CLASSES else np.ones_like(is_wrong)
    codes, counts = np.unique((labels * classes + judged.classes)[is_listed], return_counts=True)
    if classes > MANY_CLASSES:
        first = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
        codes, counts = codes[first], counts[first]
    pairs = [(*divmod(code, classes), n) for code, n in zip(codes.tolist(), counts.tolist(), strict=True)]
    right = int((~is_wrong).sum())
    return Predictions(classes, len(labels), right, tuple(pairs), _worst(judged, labels, is_wrong))


def _worst(judged: Judged, labels: NDArray[np.int64], is_wrong: NDArray[np.bool_]) -> tuple[Mistake, ...]:
    """The mistakes of the highest probability; none of a network that has gone to infinity."""
    wrong = np.flatnonzero(is_wrong & np.isfinite(judged.probabilities))
    order = np.argsort(-judged.probabilities[wrong], kind="stable")[:MOST_IMAGES]
    return tuple(
        Mistake(image, int(labels[image]), int(judged.classes[image]), _share(judged.probabilities[image]))
        for image in wrong[order].tolist()
    )


def _share(probability: np.float32) -> float:
    return round(min(1.0, float(probability)), _DIGITS)

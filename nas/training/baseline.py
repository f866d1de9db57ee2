"""What a network has to beat: guessing the largest class, and a linear classifier on the pixels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nas.data.data_set import DataSet, Split

MOST_IMAGES, MOST_SIDE, MOST_STEPS = 2_000, 12, 100
"""How much a linear classifier sees, so that it takes about a second: images, pixels a side, steps."""


def chance(data: "DataSet") -> float:
    """The share of the largest class among the validation images, 0..1; NaN where there are none."""
    labels = data.validation.labels
    return float(np.bincount(labels).max() / len(labels)) if len(labels) else float("nan")


def linear_baseline(data: "DataSet") -> float:
    """The accuracy on validation images, 0..1, of logistic regression on pixels; NaN where there are none.

    Of many images it sees some, and of large ones means over squares. Nothing about it is random.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    train, judged = _few(data.train), _few(data.validation)
    if not len(judged):
        return float("nan")
    if len(np.unique(train.labels)) < 2:  # which is no classification to learn
        return float((judged.labels == train.labels[0]).mean())
    pixels = _pixels(train)
    mean, deviation = pixels.mean(0), pixels.std() + 1e-6
    with threadpool_limits(1):
        found = LogisticRegression(C=0.01, tol=1e-2, max_iter=MOST_STEPS)
        _fit(found, (pixels - mean) / deviation, train.labels)
        return float(found.score((_pixels(judged) - mean) / deviation, judged.labels))


def _fit(model: "object", pixels: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Fit within the steps there are: where it has not converged, it is a little weaker."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(pixels, labels)  # type: ignore[attr-defined]  # scikit-learn has no types


def _few(split: "Split") -> "Split":
    """At most so many images, evenly spaced."""
    step = max(1, -(-len(split) // MOST_IMAGES))
    return split.at(np.arange(0, len(split), step))


def _pixels(split: "Split") -> NDArray[np.float32]:
    """(N, features): means over squares, so that neither side has more than ``MOST_SIDE`` of them."""
    images = split.take(np.arange(len(split))).astype(np.float32)  # (N, H, W, C)
    rows, columns = (_means(size) for size in images.shape[1:3])
    small = np.einsum("yh,nhwc,xw->nyxc", rows, images, columns, optimize=True)
    pixels: NDArray[np.float32] = small.reshape(len(images), -1).astype(np.float32)
    return pixels


def _means(size: int) -> NDArray[np.float32]:
    """(few, size): a matrix that takes means over runs of about equal length."""
    few = min(size, MOST_SIDE)
    owner = np.arange(size) * few // size
    matrix = (owner == np.arange(few)[:, np.newaxis]).astype(np.float32)
    means: NDArray[np.float32] = matrix / matrix.sum(1, keepdims=True)
    return means


@dataclass(frozen=True)
class Baselines:
    """What a network's accuracy on the validation images is compared with, all in 0..1.

    Attributes:
        chance: of guessing the largest class.
        linear: of a linear classifier on pixels.
        images: that it was judged by.
    """

    chance: float
    linear: float
    images: int

    @classmethod
    def of(cls, data: "DataSet") -> "Baselines":
        """Of a data set; takes about a second."""
        return cls(chance(data), linear_baseline(data), len(data.validation))

    def verdict(self, accuracy: float) -> str | None:
        """One sentence where an accuracy on the validation images is no better; None where it is."""
        found = f"{accuracy:.1%} of the validation images are right"
        fix = "give more epochs or more images"
        if accuracy <= self.chance:
            return f"{found}, no more than by naming the largest class ({self.chance:.1%}): {fix}."
        if accuracy <= self.linear:
            return f"{found}, no more than by a linear classifier on pixels ({self.linear:.1%}): {fix}."
        return None

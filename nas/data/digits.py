"""The data set ``digits``: scikit-learn's 1797 handwritten digits of 8x8 pixels."""

import numpy as np

from nas.data.data_set import DataSet, Scaling, Source, Split, data_sets

NAME = "digits"


def _read() -> Source:
    """The 17 grey levels become 0..1, ink is 1."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = digits.images.astype(np.uint8)[..., np.newaxis]  # (N, 8, 8, 1)
    return Source(Split.whole(pixels, digits.target.astype(np.int64), Scaling((0.0,), (16.0,))))


data_sets.add(NAME, DataSet(NAME, classes=10, input_shape=(1, 8, 8), read=_read, largest=16))

"""The data set ``digits``: scikit-learn's 1797 handwritten digits of 8x8 pixels."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas.data.data_set import DataSet, Scaling, Source, Split, data_sets

NAME = "digits"
FILE = "datasets/data/digits.csv.gz"


def _read() -> Source:
    """The 17 grey levels become 0..1, ink is 1.

    From the package's file, as importing it takes a second, which each worker would wait for.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    table = np.loadtxt(Path(package.origin).parent / FILE, dtype=np.int64, delimiter=",")  # (N, 65)
    pixels = table[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1)
    return Source(Split.whole(pixels, table[:, -1], Scaling((0.0,), (16.0,))))


data_sets.add(NAME, DataSet(NAME, classes=10, input_shape=(1, 8, 8), read=_read, largest=16))

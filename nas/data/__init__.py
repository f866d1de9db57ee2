"""Data: what ``data`` names, read once into bytes on disk, and batches of it."""

from nas.data import digits as _digits  # noqa: F401 - registers it
from nas.data.data_set import DataSet, Scaling, Source, Split, data_sets
from nas.data.opening import load

__all__ = ["DataSet", "Scaling", "Source", "Split", "data_sets", "load"]

"""Data sets: what the splits hold, and that they never change."""

import hashlib

import numpy as np
import pytest

from nas.data import DataSet, Split, load
from search_spaces.errors import InvalidInput


def _keys(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def test_digits_are_real_and_in_range() -> None:
    data = load("digits")
    for split in (data.train, data.validation, data.test):
        assert split.images.shape[1:] == data.input_shape
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int64
        assert split.images.min() == 0
        assert split.images.max() == 1
        assert set(split.labels) == set(range(data.classes))


def test_the_splits_share_no_image_and_lose_none() -> None:
    data = load("digits")
    splits = [data.train, data.validation, data.test]
    assert [len(split) for split in splits] == [1077, 360, 360]
    assert len(set.union(*map(_keys, splits))) == len(_keys(data.read()))
    assert sum(len(_keys(split)) for split in splits) == len(_keys(data.read()))


def test_every_split_keeps_the_share_of_each_class() -> None:
    data = load("digits")
    whole = np.bincount(data.read().labels) / 1797
    for split in (data.train, data.validation, data.test):
        assert np.abs(np.bincount(split.labels) / len(split) - whole).max() < 0.003


def test_the_splits_are_the_same_everywhere_and_for_ever() -> None:
    data = load("digits")
    labels = b"".join(split.labels.tobytes() for split in (data.train, data.validation, data.test))
    assert hashlib.sha256(labels).hexdigest()[:16] == "23beffc904e55b46"


def test_an_unknown_data_set_is_named() -> None:
    with pytest.raises(InvalidInput, match="data: unknown name 'mnist'; choose one of digits"):
        load("mnist")


def test_a_split_refuses_other_types() -> None:
    images = np.zeros((2, 1, 8, 8), np.float32)
    with pytest.raises(ValueError, match="labels are int64"):
        Split(images, np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="images are float32"):
        Split(images.astype(np.float64), np.zeros(2, np.int64))


def test_nothing_is_read_before_a_split_is_asked_for() -> None:
    def read() -> Split:
        raise AssertionError("read too early")

    assert DataSet("lazy", 10, (1, 8, 8), read).classes == 10

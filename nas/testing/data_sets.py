"""What every data set keeps; see ``nas.data.DataSet`` for the contract."""

from abc import ABC, abstractmethod

import numpy as np

from nas.data import DataSet, Split


class DataSetConformance(ABC):
    """A suite for one data set::

    from nas.testing.data_sets import DataSetConformance

    class TestBright(DataSetConformance):
        def data_set(self):
            return bright
    """

    @abstractmethod
    def data_set(self) -> DataSet:
        """The data set."""

    def test_images_are_of_one_shape_and_labels_of_the_classes(self) -> None:
        """In every split; there are images to train on, to judge by and to test with."""
        data = self.data_set()
        channels, height, width = data.input_shape
        for split in _splits(data):
            assert len(split) > 0
            assert split.pixels.shape[1:] == (height, width, channels)
            assert 0 <= split.labels.min() <= split.labels.max() < data.classes
        assert set(np.unique(data.train.labels)) == set(range(data.classes)), "each class can be learned"
        assert len(data.class_names) in (0, data.classes)

    def test_no_image_is_in_two_splits(self) -> None:
        """Where they are cut off the same images."""
        data = self.data_set()
        same = [split for split in _splits(data) if split.pixels is data.train.pixels]
        chosen = np.concatenate([split.chosen for split in same])
        assert len(chosen) == len(np.unique(chosen))

    def test_it_gives_the_same_images_each_time(self) -> None:
        """In the same order: a training is repeated from its seed alone."""
        one, other = self.data_set(), self.data_set()
        for mine, its in zip(_splits(one), _splits(other), strict=True):
            assert np.array_equal(mine.labels, its.labels)
            first = np.arange(min(8, len(mine)))
            assert np.array_equal(mine.take(first), its.take(first))

    def test_networks_see_finite_numbers_of_ordinary_size(self) -> None:
        """The scaling is that of the images; white is no more than ``largest``."""
        data = self.data_set()
        assert int(data.train.take(np.arange(len(data.train))).max()) <= data.largest
        for split in _splits(data):
            part = next(split.parts())
            assert part.shape[1:] == data.input_shape
            assert np.isfinite(part).all()
            assert np.abs(part).max() < 100, "by its mean and deviation a pixel is a number near zero"


def _splits(data: DataSet) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test

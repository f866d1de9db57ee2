"""Data sets: what the splits hold, and that they never change."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import DataSet, Scaling, Source, Split, digits, load
from nas.testing.data_sets import DataSetConformance
from search_spaces.errors import InvalidInput


class TestDigits(DataSetConformance):
    """What is built in."""

    def data_set(self) -> DataSet:
        """By its name."""
        return load("digits")


class TestBright(DataSetConformance):
    """A plug-in's, the one of docs/extending.md."""

    def data_set(self) -> DataSet:
        """As it is registered."""

        def read() -> Source:
            pixels = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), np.uint8)
            labels = (pixels.mean(axis=(1, 2, 3)) > 127).astype(np.int64)
            return Source(Split.whole(pixels, labels, Scaling(mean=(127.0,), deviation=(74.0,))))

        return DataSet("bright", classes=2, input_shape=(1, 8, 8), read=read)


class TestFolder(DataSetConformance):
    """A folder of images."""

    @pytest.fixture(autouse=True)
    def _images(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        for label in ("cat", "dog"):
            (tmp_path / label).mkdir()
            for n in range(12):
                pixels = np.random.default_rng(n).integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / label / f"{n}.png")

    def data_set(self) -> DataSet:
        """By its path."""
        return load(str(self.folder), image_size=8)


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


def test_digits_are_those_that_scikit_learn_gives() -> None:
    from sklearn.datasets import load_digits

    told, expected = digits._read().train, load_digits()
    np.testing.assert_array_equal(told.pixels[..., 0], expected.images)
    np.testing.assert_array_equal(told.labels, expected.target)


def test_the_splits_share_no_image_and_lose_none() -> None:
    data = load("digits")
    splits = [data.train, data.validation, data.test]
    assert [len(split) for split in splits] == [1077, 360, 360]
    whole = _keys(data.read().train)
    assert len(set.union(*map(_keys, splits))) == len(whole)
    assert sum(len(_keys(split)) for split in splits) == len(whole)


def test_every_split_keeps_the_share_of_each_class() -> None:
    data = load("digits")
    whole = np.bincount(data.read().train.labels) / 1797
    for split in (data.train, data.validation, data.test):
        assert np.abs(np.bincount(split.labels) / len(split) - whole).max() < 0.003


def test_the_splits_are_the_same_everywhere_and_for_ever() -> None:
    data = load("digits")
    labels = b"".join(split.labels.tobytes() for split in (data.train, data.validation, data.test))
    assert hashlib.sha256(labels).hexdigest()[:16] == "23beffc904e55b46"


def test_a_split_refuses_other_types() -> None:
    pixels, scaling = np.zeros((2, 8, 8, 1), np.uint8), Scaling((0.0,), (1.0,))
    with pytest.raises(ValueError, match="labels are int64"):
        Split.whole(pixels, np.zeros(2, np.int32), scaling)
    with pytest.raises(ValueError, match="pixels are uint8"):
        Split.whole(pixels.astype(np.float64), np.zeros(2, np.int64), scaling)
    with pytest.raises(ValueError, match="1 channels need as many means"):
        Split.whole(pixels, np.zeros(2, np.int64), Scaling((0.0,) * 3, (1.0,) * 3))


def test_nothing_is_read_before_a_split_is_asked_for() -> None:
    def read() -> Source:
        raise AssertionError("read too early")

    assert DataSet("lazy", 10, (1, 8, 8), read).classes == 10


def _plain(counts: list[int], validation: float, has_test: bool = False) -> DataSet:
    """A data set with that many images of each class."""

    def split(counts: list[int]) -> Split:
        labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
        return Split.whole(np.zeros((len(labels), 1, 1, 1), np.uint8), labels, Scaling((0.0,), (1.0,)))

    def read() -> Source:
        return Source(split(counts), test=split([1] * len(counts)) if has_test else None)

    return DataSet("few", len(counts), (1, 1, 1), read, validation_share=validation, class_names="abcdefgh")


@pytest.mark.parametrize(
    ("counts", "validation", "has_test", "problem"),
    [
        (
            [5, 5],
            0.1,
            False,
            r"class 0 \(a\) has 5 images, too few to cut test and validation images off; give 10",
        ),
        (
            [9, 1],
            0.0,
            False,
            r"class 1 \(b\) has 1 image, too few to cut test images off; give 5",
        ),
        ([9, 9, 1], 0.25, True, r"class 2 \(c\) has 1 image, too few to cut validation images off; give 4"),
        ([30, 30], 0.9, False, "0.9 beside the test images leaves none to train on; give less than 0.8"),
    ],
)
def test_too_few_images_of_a_class(
    counts: list[int], validation: float, has_test: bool, problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        _ = _plain(counts, validation, has_test).train


@pytest.mark.parametrize("has_test", [False, True])
@pytest.mark.parametrize("validation", [0.07, 0.1, 0.25, 0.5, 0.7, 0.79])
@pytest.mark.parametrize("classes", [2, 3, 8])
def test_as_many_images_as_are_asked_for_are_enough(classes: int, validation: float, has_test: bool) -> None:
    with pytest.raises(InvalidInput) as caught:
        _ = _plain([1] * classes, validation, has_test).train
    enough = int(caught.value.fix.split()[1])
    data = _plain([enough] * classes, validation, has_test)
    for split in (data.train, data.validation, data.test):
        assert set(split.labels) == set(range(classes))

"""Batches: every image once, varied as told, the same for the same seed and epoch."""

import numpy as np
import pytest
import torch

from nas.data import Scaling, Split, load
from nas.data.batches import Augmentation, batch_count, batches, tensor
from search_spaces.errors import InvalidInput

FILL = np.array([1, 2, 3], np.uint8)


def images(n: int = 64, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(10, 256, (n, side, side, 3), dtype=np.uint8)


def test_every_image_comes_once_an_epoch() -> None:
    split = load("digits").train
    found = list(batches(split, 100, 0, 1, Augmentation()))
    assert len(found) == batch_count(len(split), 100) == 11
    assert {len(labels) for _, labels in found} == {97, 98}
    seen = sorted(image.numpy().tobytes() for part, _ in found for image in part.contiguous())
    assert seen == sorted(image.tobytes() for image in split.images)


def test_seed_and_epoch_decide() -> None:
    split, varied = load("digits").train, Augmentation(1, True, 2)

    def first(seed: int, epoch: int) -> torch.Tensor:
        return next(iter(batches(split, 50, seed, epoch, varied)))[0]

    assert torch.equal(first(0, 1), first(0, 1))
    assert not torch.equal(first(0, 1), first(0, 2))
    assert not torch.equal(first(0, 1), first(1, 1))


def test_floats_are_those_of_numpy_and_lie_channels_last() -> None:
    scaling = Scaling((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))
    found = tensor(images(), scaling)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(found.numpy(), scaling.floats(images()))
    assert found[0, 1, 2, 3] == np.float32((np.float32(images()[0, 2, 3, 1]) - 110) / 50)


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    given = images()
    found = Augmentation(crop=2).of(given, FILL, np.random.default_rng(1))
    offsets = set()
    for before, after in zip(given, found, strict=True):
        padded = np.full((12, 12, 3), FILL, np.uint8)
        padded[2:10, 2:10] = before
        windows = {(y, x): padded[y : y + 8, x : x + 8] for y in range(5) for x in range(5)}
        (offset,) = [o for o, window in windows.items() if np.array_equal(window, after)]
        offsets.add(offset)
    assert {y for y, _ in offsets} == {x for _, x in offsets} == set(range(5))


def test_about_half_are_mirrored_left_to_right() -> None:
    given = images()
    found = Augmentation(flip=True).of(given, FILL, np.random.default_rng(1))
    mirrored = [np.array_equal(after, before[:, ::-1]) for before, after in zip(given, found, strict=True)]
    kept = [np.array_equal(after, before) for before, after in zip(given, found, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 20 <= sum(mirrored) <= 44


def test_a_square_is_cut_out_of_each() -> None:
    given = images()
    found = Augmentation(cutout=4).of(given, FILL, np.random.default_rng(1))
    sizes = set()
    for before, after in zip(given, found, strict=True):
        gone = (after == FILL).all(-1)
        np.testing.assert_array_equal(after[~gone], before[~gone])
        rows, columns = gone.any(1), gone.any(0)
        assert gone.sum() == rows.sum() * columns.sum(), "a rectangle"
        sizes.add((int(rows.sum()), int(columns.sum())))
    assert max(sizes) == (4, 4)
    assert min(sizes) >= (2, 2), "it may hang over the edge by half"


@pytest.mark.parametrize("options", [{"crop": -1}, {"cutout": 300}])
def test_what_makes_no_sense_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="out of range"):
        Augmentation(**options)


def test_what_is_given_is_not_changed() -> None:
    given = images()
    before = given.copy()
    split = Split.whole(given, np.zeros(64, np.int64), Scaling((0.0,) * 3, (1.0,) * 3))
    list(batches(split, 16, 0, 0, Augmentation(1, True, 2)))
    np.testing.assert_array_equal(given, before)

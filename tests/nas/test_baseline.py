"""What a network has to beat, and how it is said that it does not; batches and rates by number of images."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.data import DataSet, Source, Split, load
from nas.data.data_set import Scaling
from nas.training.baseline import Baselines, chance, linear_baseline
from nas.training.presets import IMAGES, RECIPE, batch_for, recipe_for


def _data(count: int, side: int, light: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> DataSet:
    """Noise of two classes, a third of it of the second; ``light`` of a label is added to its image."""
    generator = np.random.default_rng(0)
    labels = (np.arange(count) % 3 == 0).astype(np.int64)
    pixels = generator.integers(0, 200, (count, side, side, 3)) + light(labels)[:, None, None, None]
    split = Split.whole(pixels.astype(np.uint8), labels, Scaling((128.0,) * 3, (64.0,) * 3))
    return DataSet("noise", 2, (3, side, side), lambda: Source(split))


def test_a_linear_classifier_learns_what_is_linear_and_no_more() -> None:
    linear = _data(300, 40, lambda labels: labels * 8)
    noise = _data(300, 40, lambda labels: labels * 0)
    assert linear_baseline(linear) > 0.95
    assert linear_baseline(linear) == linear_baseline(linear)
    assert linear_baseline(noise) < chance(noise) + 0.1
    assert chance(noise) == pytest.approx(2 / 3, abs=0.01)
    assert linear_baseline(load("digits")) > 0.9


def test_of_many_images_some_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = Split.take

    def take(split: Split, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        seen.append(len(indices))
        return real(split, indices)

    monkeypatch.setattr(Split, "take", take)
    linear_baseline(_data(6000, 8, lambda labels: labels * 8))
    assert max(seen) <= 2000


def test_without_validation_images_nothing_is_compared() -> None:
    data = replace(load("digits"), validation_share=0.0)
    assert math.isnan(chance(data))
    assert math.isnan(linear_baseline(data))
    assert Baselines.of(data).verdict(0.0) is None


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [(0.2, "largest class (34.0%)"), (0.34, "largest class"), (0.65, "linear classifier on pixels (65.0%)")],
)
def test_a_result_that_is_no_better_is_said(accuracy: float, said: str) -> None:
    verdict = Baselines(0.34, 0.65, 90).verdict(accuracy)
    assert verdict is not None
    assert said in verdict
    assert Baselines(0.34, 0.65, 90).verdict(0.66) is None


@pytest.mark.parametrize(
    ("images", "usual", "batch"),
    [(2, 32, 8), (270, 128, 8), (700, 128, 16), (1077, 32, 32), (2500, 128, 64), (3000, 128, 128)],
)
def test_few_images_are_taken_a_few_at_a_time(images: int, usual: int, batch: int) -> None:
    recipe = replace(IMAGES, batch_size=usual)
    assert batch_for(images, recipe) == batch


def test_what_is_given_is_not_chosen() -> None:
    digits = load("digits")
    few = Source(digits.read().train.at(np.arange(300)))
    small = replace(digits, read=lambda: few)
    assert recipe_for(digits) == RECIPE  # a thousand small images are enough
    assert recipe_for(small) == replace(RECIPE, batch_size=8)
    given = recipe_for(small, batch_size=64, learning_rate=0.5)
    assert (given.batch_size, given.peak_rate) == (64, 0.5)

"""Batches of training images: shuffled, shifted, mirrored and cut out, all of it on bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.data_set import Scaling, Split
from search_spaces.errors import InvalidInput

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied; what is uncovered or cut out takes the mean colour.

    Attributes:
        crop: pixels that an image is shifted by at most, in each direction (He et al., section 4.2: 4).
        flip: whether every other image is mirrored, left to right.
        cutout: side of a square that is cut out, centred anywhere in the image (DeVries and Taylor, 2017).
    """

    crop: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        for name, value in (("crop", self.crop), ("cutout", self.cutout)):
            if not 0 <= value <= 256:
                raise InvalidInput(name, f"{value} is out of range", "give a whole number in 0..256")

    def of(self, pixels: Pixels, fill: NDArray[np.uint8], generator: np.random.Generator) -> Pixels:
        """A varied copy of a batch (N, H, W, C); ``fill`` is a colour, (C,)."""
        if self.crop:
            pixels = _shifted(pixels, self.crop, fill, generator)
        if self.flip:
            mirrored = generator.random(len(pixels)) < 0.5
            pixels = _mirrored(pixels, mirrored)
        if self.cutout:
            pixels = _cut_out(pixels, self.cutout, fill, generator)
        return pixels


def _shifted(pixels: Pixels, most: int, fill: NDArray[np.uint8], generator: np.random.Generator) -> Pixels:
    n, height, width, channels = pixels.shape
    row, border = width * channels, most * channels  # rows are copied as bytes in one piece
    padded = np.empty((n, height + 2 * most, row + 2 * border), np.uint8)
    padded[:] = np.tile(fill, width + 2 * most)
    padded[:, most : most + height, border : border + row] = pixels.reshape(n, height, row)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, row), (1, 2))  # (N, y, x C, H, W C)
    down, right = generator.integers(0, 2 * most, (2, n), endpoint=True)
    shifted: Pixels = windows[np.arange(n), down, right * channels].reshape(pixels.shape)
    return shifted


def _mirrored(pixels: Pixels, chosen: NDArray[np.bool_]) -> Pixels:
    _, height, width, channels = pixels.shape
    backwards = np.arange(width * channels).reshape(width, channels)[::-1].reshape(-1)
    found = pixels.copy()
    rows = pixels[chosen].reshape(-1, height, width * channels)
    found[chosen] = np.take(rows, backwards, axis=2).reshape(-1, height, width, channels)
    return found


def _cut_out(pixels: Pixels, side: int, fill: NDArray[np.uint8], generator: np.random.Generator) -> Pixels:
    n, height, width, _ = pixels.shape
    tops = generator.integers(0, height, (n, 1)) - side // 2
    lefts = generator.integers(0, width, (n, 1)) - side // 2
    found = pixels.copy()
    for image, top, left in zip(found, tops[:, 0].tolist(), lefts[:, 0].tolist(), strict=True):
        image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = fill
    return found


def batches(
    split: Split, size: int, seed: int, epoch: int, augmentation: Augmentation
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of a split: images (n, C, H, W) in float32, channels last in memory, and labels (n,).

    Seed and epoch alone decide, so that a training can go on at any epoch. Batches are as equal as can be.
    """
    generator = np.random.default_rng((seed, epoch))
    fill = np.round(split.scaling.mean).astype(np.uint8)
    labels = split.labels
    for chosen in np.array_split(generator.permutation(len(split)), batch_count(len(split), size)):
        pixels = augmentation.of(split.take(chosen), fill, generator)
        yield tensor(pixels, split.scaling), torch.from_numpy(labels[chosen])


def batch_count(images: int, size: int) -> int:
    """How many batches of about ``size`` so many images are; none is of a single one, without variance."""
    return max(1, min(-(-images // size), images // 2))


def tensor(pixels: Pixels, scaling: Scaling) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32, channels last in memory; ``Scaling.floats``, for torch."""
    n, height, width, channels = pixels.shape
    rows = torch.from_numpy(pixels.reshape(n, height, width * channels)).float()
    mean, deviation = (torch.tensor(numbers * width) for numbers in (scaling.mean, scaling.deviation))
    return rows.sub_(mean).div_(deviation).view(n, height, width, channels).permute(0, 3, 1, 2)

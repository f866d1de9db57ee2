"""Data sets: images in their own bytes, split once and for all into training, validation and test images."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry

PART_IMAGES = 256
"""Images that are made floats at a time, where all are looked at."""


@dataclass(frozen=True)
class Scaling:
    """How bytes become what networks see: (pixel - mean) / deviation, by channel, both in 0..255."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def floats(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, C) uint8 -> (N, C, H, W) float32, contiguous."""
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        scaled = (pixels.astype(np.float32) - mean) / deviation
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Split:
    """Some of the images (N, H, W, C) in uint8, perhaps a file's, with their labels in int64.

    Attributes:
        pixels: all images.
        all_labels: all labels.
        scaling: what networks see of them.
        chosen: which of them the split has, in order; all if not given.
    """

    pixels: NDArray[np.uint8]
    all_labels: NDArray[np.int64]
    scaling: Scaling
    chosen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels are uint8 (N, H, W, C), not {self.pixels.dtype} {self.pixels.shape}")
        if self.all_labels.shape != self.pixels.shape[:1] or self.all_labels.dtype != np.int64:
            raise ValueError(f"labels are int64 (N,), not {self.all_labels.dtype} {self.all_labels.shape}")
        if len(self.scaling.mean) != self.pixels.shape[3]:
            raise ValueError(f"{self.pixels.shape[3]} channels need as many means and deviations")

    @classmethod
    def whole(cls, pixels: NDArray[np.uint8], labels: NDArray[np.int64], scaling: Scaling) -> "Split":
        """All of the images."""
        return cls(pixels, labels, scaling, np.arange(len(labels)))

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,)."""
        return self.all_labels[self.chosen]

    @property
    def images(self) -> NDArray[np.float32]:
        """All of the split's images as floats, (N, C, H, W): for few."""
        return self.scaling.floats(self.pixels[self.chosen])

    def at(self, indices: NDArray[np.int64]) -> "Split":
        """The images at ``indices``, in that order; nothing is copied."""
        return Split(self.pixels, self.all_labels, self.scaling, self.chosen[indices])

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The bytes of the images at ``indices``, (n, H, W, C)."""
        found: NDArray[np.uint8] = self.pixels[self.chosen[indices]]
        return found

    def parts(self, size: int = PART_IMAGES) -> Iterator[NDArray[np.float32]]:
        """All images as floats, some at a time: (n, C, H, W)."""
        for start in range(0, len(self), size):
            yield self.scaling.floats(self.pixels[self.chosen[start : start + size]])


@dataclass(frozen=True)
class Source:
    """What there is to read: images to train on, and perhaps such as somebody else has set aside."""

    train: Split
    validation: Split | None = None
    test: Split | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set: a search trains on ``train`` and judges by ``validation``; ``test`` is for exports.

    What ``read`` does not bring is cut off its training images by a fixed seed, the test split first; the
    cuts keep the share of every class.

    Attributes:
        name: what users call it.
        classes: how many there are.
        input_shape: (C, H, W).
        read: gives the images, in a fixed order; called when a split is first asked for.
        test_share: of the images, where there is no test split.
        validation_share: of the images beside a test split of its own, else of all; 0 leaves none.
        split_seed: of the cuts.
        class_names: in the order of the labels; empty where nobody has named them.
        largest: the greatest value that a pixel can have: what is white in an image file.
        digest: of the files that it was read from, by which machines can tell that they have the same; empty
            for what comes with an installation or from a hub.
    """

    name: str
    classes: int
    input_shape: tuple[int, int, int]
    read: Callable[[], Source]
    test_share: float = 0.2
    validation_share: float = 0.2
    split_seed: int = 0
    class_names: Sequence[str] = ()
    largest: int = 255
    digest: str = ""

    @property
    def has_validation(self) -> bool:
        """Whether it brings validation images of its own, so that ``validation_share`` is of no use."""
        return self.read().validation is not None

    def check_share(self, share: float | None) -> None:
        """InvalidInput where a ``validation_share`` is given that is of no use."""
        if share is not None and self.has_validation:
            problem = f"'{self.name}' has a validation split of its own, by which each epoch is judged"
            raise InvalidInput("validation", problem, "leave it out")

    @property
    def train(self) -> Split:
        """What networks are fitted to."""
        return self._splits[0]

    @property
    def validation(self) -> Split:
        """What the search judges by."""
        return self._splits[1]

    @property
    def test(self) -> Split:
        """What nothing is chosen by; used once, for a network that is exported."""
        return self._splits[2]

    @cached_property
    def _splits(self) -> tuple[Split, Split, Split]:
        source = self.read()
        train, validation, test = source.train, source.validation, source.test
        shares = self._shares(source)
        try:
            if test is None:
                train, test = self._cut(train, shares["test"])
            if validation is None:
                left = 1 - shares.get("test", 0)
                train, validation = self._cut(train, shares["validation"] / left)
        except ValueError as error:
            raise self._too_few(source.train.labels, shares) from error
        return train, validation, test

    def _shares(self, source: Source) -> dict[str, float]:
        """What is cut off the training images, by split.

        Raises:
            InvalidInput: nothing would be left to train on.
        """
        shares = {"test": self.test_share} if source.test is None else {}
        if source.validation is None:
            shares["validation"] = self.validation_share
        if sum(shares.values()) >= 1:
            problem = f"{self.validation_share:g} beside the test images leaves none to train on"
            raise InvalidInput("validation", problem, f"give less than {1 - shares.get('test', 0):g}")
        return shares

    def _cut(self, split: Split, share: float) -> tuple[Split, Split]:
        """What is kept, and what is cut off; ValueError where a class would have none in one of them."""
        from sklearn.model_selection import train_test_split

        if share == 0:
            return split, split.at(np.arange(0))
        kept, cut = train_test_split(
            np.arange(len(split)), test_size=share, random_state=self.split_seed, stratify=split.labels
        )
        return split.at(kept), split.at(cut)

    def _too_few(self, labels: NDArray[np.int64], shares: dict[str, float]) -> InvalidInput:
        """Which class is the smallest, and how many images of each are enough to cut the shares off."""
        classes, counts = np.unique(labels, return_counts=True)
        least = int(counts.argmin())
        number = int(classes[least])
        title = f"{number} ({self.class_names[number]})" if self.class_names else str(number)
        smallest = min(share for share in shares.values() if share > 0)
        # 2: a rounding of each share, of all classes together, may take from what is left
        enough = max(math.ceil(1 / smallest), math.ceil(2 / (1 - sum(shares.values()))))
        images = "1 image" if counts[least] == 1 else f"{counts[least]} images"
        splits = " and ".join(name for name, share in shares.items() if share > 0)
        problem = f"'{self.name}': class {title} has {images}, too few to cut {splits} images off"
        return InvalidInput("data", problem, f"give {enough} of each class, or splits of your own")


data_sets: Registry[DataSet] = Registry("data", "data_sets")

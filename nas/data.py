"""Data sets, split once and for all into training, validation and test images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search_spaces.registry import Registry


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) in float32 with labels (N,) in int64."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.float32:
            raise ValueError(f"images are float32 (N, C, H, W), not {self.images.dtype} {self.images.shape}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int64:
            raise ValueError(f"labels are int64 (N,), not {self.labels.dtype} {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: NDArray[np.int64]) -> "Split":
        """The images at ``indices``, in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class DataSet:
    """A data set: a search trains on ``train`` and judges by ``validation``; ``test`` is for exports.

    ``read`` gives all images with their labels, in a fixed order. The test split is cut off by a fixed
    seed before the other two are told apart, and both cuts keep the share of every class.
    """

    name: str
    classes: int
    input_shape: tuple[int, int, int]
    read: Callable[[], Split]
    held_out: float = 0.2
    split_seed: int = 0

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
        whole = self.read()
        rest, test = self._cut(whole, np.arange(len(whole)), self.held_out)
        train, validation = self._cut(whole, rest, self.held_out / (1 - self.held_out))
        return whole.at(train), whole.at(validation), whole.at(test)

    def _cut(
        self, whole: Split, indices: NDArray[np.int64], share: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        from sklearn.model_selection import train_test_split

        kept, cut = train_test_split(
            indices, test_size=share, random_state=self.split_seed, stratify=whole.labels[indices]
        )
        return kept, cut


data_sets: Registry[DataSet] = Registry("data", "data_sets")


def load(name: str) -> DataSet:
    """The data set called ``name``; its images are read when a split is first asked for.

    Raises:
        InvalidInput: there is none of that name; the message lists those there are.
    """
    return data_sets.get(name)


def _read_digits() -> Split:
    """1797 handwritten digits of 8x8 pixels; their 17 grey levels become 0..1, ink is 1."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, np.newaxis]  # (N, 1, 8, 8)
    return Split(images, digits.target.astype(np.int64))


data_sets.add("digits", DataSet("digits", classes=10, input_shape=(1, 8, 8), read=_read_digits))

"""What a trained network gets wrong, as the ledger keeps it: classes for others, and the worst images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from nas.ledger.entries import check_finite


@dataclass(frozen=True)
class Mistake:
    """An image of a wrong class.

    Attributes:
        image: its place in the validation split, from 0.
        true: its class.
        predicted: the class that it was taken for.
        probability: of that class, in 0..1, as the network gave it.
    """

    image: int
    true: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class Predictions:
    """What a network made of the images of the validation split.

    Attributes:
        classes: how many there are.
        images: how many were looked at.
        right: how many of them got their class.
        counts: how many images of a class got which: (true, predicted, count), each pair at most once. With
            many classes only the most frequent mistakes are there (``is_whole``).
        worst: the mistakes that the network was most certain of, the worst first.

    Raises:
        ValueError: the numbers contradict each other.
    """

    classes: int
    images: int
    right: int
    counts: tuple[tuple[int, int, int], ...]
    worst: tuple[Mistake, ...] = ()

    def __post_init__(self) -> None:
        pairs = [(true, predicted) for true, predicted, _ in self.counts]
        pairs += [(mistake.true, mistake.predicted) for mistake in self.worst]
        if any(not 0 <= each < self.classes for pair in pairs for each in pair):
            raise ValueError(f"a class is none of {self.classes}")
        if len({(true, predicted) for true, predicted, _ in self.counts}) < len(self.counts):
            raise ValueError("a pair of classes is there twice")
        wrong = sum(count for true, predicted, count in self.counts if true != predicted)
        right = sum(count for *_, count in self.counts) - wrong
        is_less = right <= self.right and wrong <= self.wrong
        if any(count < 1 for *_, count in self.counts) or self.right < 0 or not is_less:
            raise ValueError(f"counts of {right} and {wrong} are not of {self.right} and {self.wrong}")
        self._check_worst()

    def _check_worst(self) -> None:
        for mistake in self.worst:
            check_finite(probability=mistake.probability)
            if mistake.true == mistake.predicted or not 0 <= mistake.image < self.images:
                raise ValueError(f"image {mistake.image} is no mistake among {self.images} images")
            if not 0 <= mistake.probability <= 1:
                raise ValueError(f"a probability is {mistake.probability:g}")

    @property
    def wrong(self) -> int:
        """How many images got another class than theirs."""
        return self.images - self.right

    @property
    def is_whole(self) -> bool:
        """Whether every image is counted, or only the most frequent mistakes are."""
        return sum(count for *_, count in self.counts) == self.images

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "counts": [list(count) for count in self.counts]}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave; ValueError where it contradicts itself."""
        counts = tuple((true, predicted, count) for true, predicted, count in fields["counts"])
        worst = tuple(Mistake(**mistake) for mistake in fields["worst"])
        return cls(fields["classes"], fields["images"], fields["right"], counts, worst)

"""What ``nas train`` is asked to do: a network, data and a recipe, as a checkpoint remembers them."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.data_set import PART_IMAGES
from nas.training.recipe import Recipe
from search_spaces.architecture import NamedNetwork
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from nas.data import DataSet
    from nas.training.checkpoint import Loaded

DIGESTED_BYTES = 1 << 28
"""Of the pixels of a split: all of CIFAR's, in about a second."""

CHECKPOINT, WEIGHTS, RESULT = "checkpoint.safetensors", "weights.safetensors", "result.json"
MODEL, ARCHITECTURE, PUBLISHED = "model.safetensors", "architecture.json", "network.json"
"""Exported weights, and what says of which network they are: one of the last two."""


@dataclass(frozen=True)
class TrainJob:
    """What is trained, on what, and how.

    Attributes:
        network: the name of a published one.
        precision: of its layers, or a plan of them.
        classifier: the precision of the last layer, if another is wanted.
        data: the name of a data set, or a path.
        image_size: that images are brought to, if they are.
        epochs: how many.
        seed: of the weights and the batches.
        validation: the share of the training images that is held back and judged by after each epoch.
        recipe: everything else.
        start: weights of another training of the network, perhaps in another precision, to start from.
        teacher: weights of a network to learn from as well.
    """

    network: str
    data: str
    epochs: int
    precision: str = "float"
    classifier: str | None = None
    image_size: int | None = None
    seed: int = 0
    validation: float = 0.1
    recipe: Recipe = field(default_factory=Recipe)
    start: str | None = None
    teacher: str | None = None

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("epochs", self.epochs, 1, 100_000),
            ("seed", self.seed, 0, 2**32 - 1),
        ):
            if not low <= value <= high:
                raise InvalidInput(name, f"{value} is out of range", f"give a whole number in {low}..{high}")
        if not 0 <= self.validation <= 0.9:
            raise InvalidInput("validation", f"{self.validation:g} is out of range", "give 0 to 0.9")

    def architecture(self, input_shape: tuple[int, int, int], classes: int) -> NamedNetwork:
        """Its network, for images (C, H, W) of so many classes."""
        return NamedNetwork(
            network=self.network,
            precision=self.precision,
            classifier=self.classifier,
            input_shape=input_shape,
            classes=classes,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "TrainJob":
        """What ``to_dict`` gave."""
        return cls(**{**fields, "recipe": Recipe.from_dict(fields["recipe"])})


def job_of(loaded: "Loaded") -> TrainJob:
    """The job of a checkpoint or of weights.

    Raises:
        BitnasError: it does not say.
    """
    try:
        return TrainJob.from_dict(loaded.about.get("about", loaded.about)["job"])
    except (TypeError, KeyError, AttributeError) as error:
        raise BitnasError(f"{loaded.path}: it does not say what was trained; train again") from error


def data_of(job: TrainJob, on_data: Callable[[int, int], None] = lambda done, of: None) -> "DataSet":
    """What a job trains on and is judged by; ``on_data`` is told of decoding, images done and in all.

    Raises:
        InvalidInput: it cannot be read.
    """
    from nas.data import load

    data = load(job.data, job.image_size, on_data)
    return replace(data, validation_share=job.validation)


def images_digest(data: "DataSet") -> str:
    """The sha256 of labels, scaling and images of all splits; of many images, of some evenly spaced ones."""
    digest = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        digest.update(split.labels.tobytes() + repr((split.scaling, split.pixels.shape)).encode())
        most = max(1, DIGESTED_BYTES // math.prod(split.pixels.shape[1:]))
        chosen = np.arange(0, len(split), max(1, -(-len(split) // most)))
        for start in range(0, len(chosen), PART_IMAGES):
            digest.update(split.take(chosen[start : start + PART_IMAGES]).tobytes())
    return digest.hexdigest()


def teacher_digest(job: TrainJob) -> str | None:
    """The sha256 of the file of a job's teacher, if it has one."""
    if job.teacher is None:
        return None
    with Path(job.teacher).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

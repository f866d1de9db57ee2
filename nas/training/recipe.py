"""The recipe of a training: everything but the network, the data, the seed and how long."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from nas.data.batches import Augmentation
from nas.data.data_set import DataSet
from nas.training.optimizers import optimizers, schedules
from search_spaces.errors import InvalidInput


@dataclass(frozen=True)
class Recipe:
    """How networks are trained.

    Sums of floats depend on how they are shared out among threads. One thread makes the result a function
    of the seed alone, and for small images it is also the fastest.

    Attributes:
        optimizer: a name in the registry ``optimizers``.
        schedule: of the learning rate, a name in the registry ``schedules``.
        batch_size: images a step, at most.
        peak_rate: the highest learning rate.
        weight_decay: of weights; scales, biases, batch norms and latent binary weights have none.
        label_smoothing: the share of the target that is spread over all classes.
        augmentation: of the training images.
        average: the decay, a step, of the average of the weights that is judged and kept; 0 for none.
        bf16: whether layers multiply in bfloat16 while training.
        threads: of the CPU; 0 for as many as it has cores.
        distillation: the share of the loss that is a teacher's, where there is one (Hinton et al., 2015).
        temperature: of the teacher's and the student's logits there.
    """

    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    batch_size: int = 32
    peak_rate: float = 0.03
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    average: float = 0.0
    bf16: bool = False
    threads: int = 1
    distillation: float = 0.5
    temperature: float = 4.0

    def __post_init__(self) -> None:
        optimizers.get(self.optimizer)
        schedules.get(self.schedule)
        for name, value, low, high in (
            ("batch_size", self.batch_size, 2, 65_536),
            ("peak_rate", self.peak_rate, 1e-9, 1e3),
            ("weight_decay", self.weight_decay, 0, 10),
            ("label_smoothing", self.label_smoothing, 0, 0.99),
            ("average", self.average, 0, 0.999999),
            ("threads", self.threads, 0, 1024),
            ("distillation", self.distillation, 0, 1),
            ("temperature", self.temperature, 0.01, 1000),
        ):
            if not low <= value <= high:  # NaN is in no range
                raise InvalidInput(name, f"{value:g} is out of range", f"give {low:g} to {high:g}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Recipe":
        """What ``to_dict`` gave."""
        return cls(**{**fields, "augmentation": Augmentation(**fields["augmentation"])})


RECIPE = Recipe()

IMAGES = Recipe(
    batch_size=128,
    peak_rate=0.01,
    augmentation=Augmentation(crop=4, flip=True),
    bf16=True,
    weight_decay=0.05,
)
"""For colour images of 32 pixels and more."""

LARGE_IMAGE_SIDE = 24
"""Pixels of the shorter side from which on ``IMAGES`` is the recipe."""


STEPS, LEAST_BATCH = 32, 8
"""Steps that an epoch of few images has about, and the fewest images in one."""


def recipe_for(
    data: DataSet, threads: int = 1, *, batch_size: int | None = None, learning_rate: float | None = None
) -> Recipe:
    """How a data set is trained on; in bfloat16 only where the machine has it, as it is slow elsewhere.

    ``threads`` are for larger images; on small ones they would wait for each other. The images a step are
    chosen by the number of training images where they are not given, see ``batch_for``.
    """
    if min(data.input_shape[1:]) < LARGE_IMAGE_SIDE:
        usual = RECIPE
    else:
        usual = replace(IMAGES, bf16=has_bfloat16(), threads=threads)
    batch = batch_for(len(data.train), usual) if batch_size is None else batch_size
    rate = usual.peak_rate if learning_rate is None else learning_rate
    return replace(usual, batch_size=batch, peak_rate=rate)


def batch_for(images: int, usual: Recipe) -> int:
    """Images a step: the power of two next to a 32nd of an epoch's images, from 8 to what is usual.

    Nine steps teach little, however many images each sees. The rate stays: AdamW's steps are about as long as
    it, and of less, 450 images learned no more (docs/training.md).
    """
    nearest: int = 2 ** round(math.log2(max(images, 1) / STEPS))
    return min(max(nearest, LEAST_BATCH), usual.batch_size)


SGD_RATE, SGD_DECAY = 0.1, 5e-4
"""He et al., section 4.2, but for the decay, which is 1e-4 there."""


def with_optimizer(recipe: Recipe, name: str) -> Recipe:
    """A recipe with another optimizer, and the rate and the decay that go with it.

    AdamW shrinks weights by its decay; the others add it to the gradient, where it counts for far more.
    """
    if name == "sgd":
        return replace(recipe, optimizer=name, peak_rate=SGD_RATE, weight_decay=SGD_DECAY)
    return replace(recipe, optimizer=name, weight_decay=0.0 if name == "adam" else recipe.weight_decay)


def has_bfloat16() -> bool:
    """Whether the machine multiplies in bfloat16."""
    import torch

    return torch.cuda.is_available() or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

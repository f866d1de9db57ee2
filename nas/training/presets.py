"""Recipes to start from: by the size of a data set's images, by their number, and by the optimizer."""

import math
from dataclasses import replace

import nas.training.optimizers  # noqa: F401 - adds those of the recipes here
from nas.data.batches import Augmentation
from nas.data.data_set import DataSet
from nas.training.recipe import Recipe

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

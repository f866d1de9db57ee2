"""Rules for means: over whole images, over windows that fill them, over any axes of a tensor."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.arrangement import Tensor
from runtime.lowering.reducing import axes_of, reduced
from runtime.lowering.rulebook import At, rule
from runtime.lowering.windows import adaptive_sides
from runtime.workload import AdaptiveAvgPool, AvgPool2d, GlobalAvgPool


@rule(nn.AdaptiveAvgPool2d, options=("output_size",), view=True)
@rule(F.adaptive_avg_pool2d, view=True)
def _adaptive_pool(at: At, input: Value, output_size: Any) -> Value:
    image = at.image(input)
    return adaptive_mean(at, image, adaptive_sides(at, image, output_size))


def adaptive_mean(at: At, image: Value, sides: tuple[Any, ...]) -> Value:
    """The means of windows that fill an image, as many as the sides tell; they may overlap."""
    n, height, width, channels = image.shape
    rows, columns = sides
    if (rows, columns) == (height, width):
        return image
    if (rows, columns) == (1, 1):
        return global_mean(at, image)
    shape = (n, rows, columns, channels)
    if height % rows == 0 and width % columns == 0:
        window = height // rows, width // columns
        return at.emit(AvgPool2d(n, height, width, window, window, 0, channels), [image], shape)
    return at.emit(AdaptiveAvgPool(n, height, width, rows, columns, channels), [image], shape)


def global_mean(at: At, image: Value) -> Value:
    """The mean of each channel, as an image of one pixel."""
    n, height, width, channels = image.shape
    return at.emit(GlobalAvgPool(n, height * width, channels), [image], (n, 1, 1, channels))


@rule("mean", torch.mean, takes="any")
def _mean(at: At, input: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    axes = axes_of(at, input, dim, "a mean")
    at.require(dtype in (None, torch.float32), f"{dtype} is not computed; leave dtype out")
    if axes == [2, 3] and isinstance(input, Value):
        mean = global_mean(at, input)
        return mean if keepdim else at.builder.view(mean, (mean.shape[0], mean.shape[-1]))
    return reduced(at, input, axes, keepdim, GlobalAvgPool)

"""Rules for means: over whole images, over windows that fill them, over any axes of a tensor."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.arrangement import Arranged, Tensor, arranged
from runtime.lowering.arranging_rules import axis_of, canonical
from runtime.lowering.rulebook import At, rule, torch_shape
from runtime.workload import AdaptiveAvgPool, AvgPool2d, GlobalAvgPool


@rule(nn.AdaptiveAvgPool2d, options=("output_size",), view=True)
@rule(F.adaptive_avg_pool2d, view=True)
def _adaptive_pool(at: At, input: Value, output_size: Any) -> Value:
    image = at.image(input)
    size = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
    at.require(len(size) == 2, f"output_size {output_size} is not one or two numbers")
    wanted = tuple(own if given is None else given for given, own in zip(size, image.shape[1:3], strict=True))
    whole = all(isinstance(side, int) and side > 0 for side in wanted)
    at.require(whole, f"output_size {output_size} is not one or two whole numbers above 0")
    return adaptive_mean(at, image, wanted)


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
    rank = len(torch_shape(at.any_tensor(input)))
    at.require(dim is not None, "a mean over the images of a batch is not computed; name the dimensions")
    at.require(dtype in (None, torch.float32), f"{dtype} is not computed; leave dtype out")
    given = dim if isinstance(dim, tuple | list) else (dim,)
    axes = sorted({axis_of(at, each, rank) for each in given} or range(rank))
    at.require(axes[0] > 0, "a mean over the images of a batch is not computed; name other dimensions")
    if axes == [2, 3] and isinstance(input, Value):
        mean = global_mean(at, input)
        return mean if keepdim else at.builder.view(mean, (mean.shape[0], mean.shape[-1]))
    found = arranged(input)
    for axis in reversed(axes):  # the last one first: what is before it keeps its place
        found = _without(at, found, axis, keepdim)
    return canonical(found.simple())


def _without(at: At, tensor: Arranged, axis: int, keepdim: bool) -> Arranged:
    """The mean over one of torch's axes: of what lies before it and behind it in memory, for each."""
    if tensor.axes[axis]:
        tensor, _ = at.in_one_piece(tensor, axis)
    gone = tensor.axes[axis]
    axes = (*tensor.axes[:axis], *([()] if keepdim else []), *tensor.axes[axis + 1 :])
    if not gone:
        return replace(tensor, axes=axes)
    (own,) = gone
    before, behind = math.prod(tensor.sizes[:own]), math.prod(tensor.sizes[own + 1 :])
    work = GlobalAvgPool(before, tensor.sizes[own], behind)
    shape = (tensor.sizes[0], before * behind // tensor.sizes[0])
    written = at.emit(work, [tensor.value], shape, part=f"axis{axis}")
    sizes = (*tensor.sizes[:own], *tensor.sizes[own + 1 :])
    return Arranged(written, sizes, tuple(tuple(a - (a > own) for a in each) for each in axes))

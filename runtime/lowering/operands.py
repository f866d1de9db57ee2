"""Steps of two operands: tensors that lie alike in memory, parameters that are a number a channel."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from runtime.graph import Constants, Value
from runtime.lowering.arrangement import Arranged, Tensor, arranged
from runtime.lowering.arranging_rules import canonical
from runtime.lowering.rulebook import At, HeldWeight, pixels, torch_shape
from runtime.lowering.tensors import numbers
from runtime.workload import Affine, TakePixels


def elementwise(tensor: Tensor, change: Callable[[Value], Value]) -> Tensor:
    """A tensor whose numbers are changed one by one, arranged as it was."""
    if isinstance(tensor, Arranged):
        return replace(tensor, value=change(tensor.value))
    return change(tensor)


def elementwise_of_two(
    at: At, left: Tensor, right: Tensor, join: Callable[[At, Value, Value], Value]
) -> Tensor:
    """Two tensors of one shape joined number by number, moved in memory where they do not lie alike."""
    if isinstance(left, Value) and isinstance(right, Value):
        return join(at, left, right)
    first, second = arranged(left), arranged(right)
    if (first.sizes, first.axes) != (second.sizes, second.axes):
        first, second = at.in_order(first), at.in_order(second)
    return canonical(replace(first, value=join(at, first.value, second.value)))


def along_pixels(at: At, *images: Value) -> list[Value]:
    """Images of one batch, each brought to the rows and columns of all by repeating the one that it has.

    Raises:
        UnsupportedLayerError: they do not broadcast.
    """
    shapes = [at.image(image).shape for image in images]
    batch, *sides = (max(extents) for extents in zip(*(shape[:3] for shape in shapes), strict=True))
    fits = all(
        shape[0] == batch and shape[1] in (1, sides[0]) and shape[2] in (1, sides[1]) for shape in shapes
    )
    at.require(fits, f"shapes {' and '.join(map(str, map(torch_shape, images)))} do not broadcast")
    return [_repeated(at, image, sides, f"operand{i}") for i, image in enumerate(images)]


def expanded(at: At, image: Value, shape: tuple[int, ...]) -> Value:
    """An image (N, H, W, C) repeated to a shape wherever it has 1; a product then reads the image itself."""
    found = _repeated(at, image, shape[1:3], "pixels")
    n, height, width, channels = shape
    if found.shape[-1] != channels:
        size = height * width  # pixels become rows, and the only channel their only column
        tables: Constants = {
            "row": np.arange(size, dtype=np.int32), "column": np.zeros(channels, np.int32)
        }  # fmt: skip
        work = TakePixels(n, size, 1, size, channels, 1)
        found = at.emit(work, [found], shape, lambda: tables, ("repeated", size, channels), "channels")
    if found.index != image.index:
        at.builder.repeated[found.index] = image
    return found


def _repeated(at: At, image: Value, sides: Sequence[int], part: str) -> Value:
    """Rows or columns of which there is one, as often as they are wanted."""
    n, height, width, channels = image.shape
    rows, columns = sides
    if (height, width) == (rows, columns):
        return image
    lines = [
        np.zeros(side, np.int32) if own == 1 else np.arange(side, dtype=np.int32)
        for own, side in zip((height, width), sides, strict=True)
    ]
    tables: Constants = {"row": lines[0], "column": lines[1]}
    work = TakePixels(n, height, width, rows, columns, channels)
    return at.emit(
        work, [image], (n, rows, columns, channels), lambda: tables, ("repeated", rows, columns), part
    )


def by_parameter(at: At, tensor: Tensor, parameter: HeldWeight, role: str) -> Tensor:
    """A tensor times a parameter, or plus it, by its ``role`` in a batch norm: a number for each channel.

    The parameter's shape is that of torch's broadcasting, with one dimension alone that is not 1.
    """
    shape, own = torch_shape(tensor), tuple(parameter.tensor.shape)
    wide = [axis - len(own) for axis, size in enumerate(own) if size > 1]
    problem = (
        f"the parameter '{parameter.name}' of shape {own} is not one number, or one for each channel, of a "
        f"tensor of shape {shape}"
    )
    at.require(len(own) <= len(shape) and len(wide) <= 1, problem)
    axis = wide[0] if wide else -1
    count = math.prod(own)
    at.require(not wide or (shape[axis] == count and len(shape) + axis > 0), problem)
    found = arranged(tensor)
    channels = found.value.shape[-1]  # all the same for one number
    if wide:
        found, channels = at.with_last(found, [axis])

    def constants() -> Constants:
        given = numbers(parameter, parameter.tensor).reshape(-1)
        other = {"scale": np.zeros, "bias": np.ones}[role](channels, np.float32)
        names = ("scale", "bias") if role == "scale" else ("bias", "scale")
        return dict(zip(names, (np.ascontiguousarray(np.broadcast_to(given, channels)), other), strict=True))

    image = found.value
    if image.shape[-1] != channels:  # they are parts of the image's own channels
        batch, total = found.sizes[0], math.prod(found.sizes)
        image = at.builder.view(image, (batch, 1, total // (batch * channels), channels))
    work = Affine(image.shape[0], pixels(image), channels)
    written = at.emit(work, [image], image.shape, constants, (role, id(parameter.tensor)))
    return canonical(replace(found, value=written))

"""Rules for the largest number: of windows that fill an image, and along any axes of a tensor."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Constants, Value
from runtime.lowering.arrangement import Tensor
from runtime.lowering.reducing import axes_of, reduced
from runtime.lowering.rulebook import At, rule
from runtime.lowering.windows import adaptive_sides
from runtime.workload import MaxPool2d, TakePixels, Window, Workload


@rule(nn.AdaptiveMaxPool2d, options=("output_size", "return_indices"))
@rule(F.adaptive_max_pool2d)
def _adaptive_max(at: At, input: Value, output_size: Any, return_indices: bool = False) -> Value:
    at.require(not return_indices, "indices are not computed; use return_indices=False")
    image = at.image(input)
    sides = adaptive_sides(at, image, output_size)
    return image if sides == image.shape[1:3] else _windows(at, image, sides)


def _windows(at: At, image: Value, sides: tuple[int, int]) -> Value:
    """The largest numbers of as many windows, which fill the image and may overlap.

    Where they are not all of one size, the last row or column of a smaller one is taken twice.
    """
    n, height, width, channels = image.shape
    lines = [adaptive_lines(own, side) for own, side in zip((height, width), sides, strict=True)]
    (rows, columns), taps = map(len, lines), [len(o) // s for o, s in zip(lines, sides, strict=True)]
    if (rows, columns) != (height, width):
        tables: Constants = dict(zip(("row", "column"), lines, strict=True))
        work = TakePixels(n, height, width, rows, columns, channels)
        shape = (n, rows, columns, channels)
        image = at.emit(work, [image], shape, lambda: tables, ("windows", *sides), "windows")
    window = Window.of((taps[0], taps[1]), (taps[0], taps[1]), (0, 0, 0, 0))
    pool = MaxPool2d(n, rows, columns, channels=channels, **window.fields)
    return at.emit(pool, [image], (n, *sides, channels))


def adaptive_lines(own: int, side: int) -> "np.ndarray[Any, np.dtype[np.int32]]":
    """The rows that each of ``side`` windows covers, (side * taps,): from i * own // side on."""
    starts = [i * own // side for i in range(side)]
    ends = [-(-(i + 1) * own // side) for i in range(side)]
    taps = max(end - start for start, end in zip(starts, ends, strict=True))
    return np.array(
        [min(start + k, end - 1) for start, end in zip(starts, ends, strict=True) for k in range(taps)],
        np.int32,
    )


@rule("amax", torch.amax, takes="any")
def _amax(at: At, input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    axes = axes_of(at, input, dim, "a maximum")
    if axes == [2, 3] and isinstance(input, Value):
        largest = _windows(at, input, (1, 1))
        return largest if keepdim else at.builder.view(largest, (largest.shape[0], largest.shape[-1]))
    return reduced(at, input, axes, keepdim, _over)


class _Places:
    """Stands for the indices of the largest numbers."""

    def __repr__(self) -> str:
        return "the indices of a maximum, which are not computed"


class Largest(NamedTuple):
    """What torch gives for a maximum along a dimension."""

    values: Tensor
    indices: _Places


@rule("max", torch.max, takes="any")
def _max(at: At, input: Tensor, dim: Any = None, keepdim: bool = False) -> Largest:
    at.require(isinstance(dim, int), "only a maximum along one dimension is computed, as in x.max(1)[0]")
    return Largest(_amax(at, input, dim, keepdim), _Places())


@rule(getattr, view=True, takes="any")
def _attribute(at: At, input: Any, name: str) -> Any:
    at.require(
        isinstance(input, Largest) and name in Largest._fields, f"its attribute '{name}' is not computed"
    )
    return getattr(input, name)


def _over(before: int, size: int, behind: int) -> Workload:
    """The largest of (before, size, behind) along the middle: a pool whose only window is a column."""
    window = Window.of((size, 1), (size, 1), (0, 0, 0, 0))
    return MaxPool2d(before, size, 1, channels=behind, **window.fields)

"""Takes an axis of a tensor together: one kernel over what lies before it and behind it in memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from runtime.lowering.arrangement import Arranged, Tensor, arranged
from runtime.lowering.arranging_rules import axis_of, canonical
from runtime.lowering.rulebook import At, torch_shape
from runtime.workload import Workload

Reduction = Callable[[int, int, int], Workload]
"""The kernel that takes numbers (before, size, behind) together over the one in the middle."""


def axes_of(at: At, tensor: Tensor, dim: Any, what: str) -> list[int]:
    """The dimensions that a step names, all of them where it names none in a list; not that of images."""
    rank = len(torch_shape(at.any_tensor(tensor)))
    at.require(dim is not None, f"{what} over the images of a batch is not computed; name the dimensions")
    given = dim if isinstance(dim, tuple | list) else (dim,)
    axes = sorted({axis_of(at, each, rank) for each in given} or range(rank))
    at.require(axes[0] > 0, f"{what} over the images of a batch is not computed; name other dimensions")
    return axes


def reduced(at: At, tensor: Tensor, axes: Sequence[int], keepdim: bool, reduction: Reduction) -> Tensor:
    """A tensor without these of torch's axes, or with 1 in their places."""
    found = arranged(tensor)
    for axis in sorted(axes, reverse=True):  # the last one first: what is before it keeps its place
        found = _without(at, found, axis, keepdim, reduction)
    return canonical(found.simple())


def _without(at: At, tensor: Arranged, axis: int, keepdim: bool, reduction: Reduction) -> Arranged:
    if tensor.axes[axis]:
        tensor, _ = at.in_one_piece(tensor, axis)
    gone = tensor.axes[axis]
    axes = (*tensor.axes[:axis], *([()] if keepdim else []), *tensor.axes[axis + 1 :])
    if not gone:
        return replace(tensor, axes=axes)
    (own,) = gone
    before, behind = math.prod(tensor.sizes[:own]), math.prod(tensor.sizes[own + 1 :])
    shape = (tensor.sizes[0], before * behind // tensor.sizes[0])
    work = reduction(before, tensor.sizes[own], behind)
    written = at.emit(work, [tensor.value], shape, part=f"axis{axis}")
    sizes = (*tensor.sizes[:own], *tensor.sizes[own + 1 :])
    return Arranged(written, sizes, tuple(tuple(a - (a > own) for a in each) for each in axes))

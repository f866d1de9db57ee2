"""Rules for steps that name numbers again, or in another order: views, permutations, rows of features."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from runtime.graph import Value
from runtime.lowering.arrangement import Arranged, Tensor, arranged
from runtime.lowering.rulebook import At, rule, torch_shape


def axis_of(at: At, dim: Any, rank: int) -> int:
    """A dimension counted from 0, of those that there are."""
    known = isinstance(dim, int) and not isinstance(dim, bool) and -rank <= dim < rank
    at.require(known, f"dimension {dim!r} is not one of a tensor of {rank}")
    return int(dim) % rank


@rule(nn.Flatten, options=("start_dim", "end_dim"), view=True, takes="any")
@rule(torch.flatten, "flatten", view=True, takes="any")
def _flatten(at: At, input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    shape = torch_shape(at.any_tensor(input))
    first, last = (axis_of(at, dim, len(shape)) for dim in (start_dim, end_dim))
    if first == last:
        return input
    at.require(first < last, f"dimensions {start_dim} to {end_dim} are in the wrong order")
    at.require(
        first > 0, "a flattening that joins the images of a batch is not computed; begin with dimension 1"
    )
    return reshaped(at, input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@rule(nn.Unflatten, options=("dim", "unflattened_size"), view=True, takes="any")
def _unflatten_layer(at: At, input: Tensor, dim: Any, unflattened_size: Any) -> Tensor:
    return _unflatten(at, input, dim, unflattened_size)


@rule(torch.unflatten, "unflatten", view=True, takes="any")
def _unflatten(at: At, input: Tensor, dim: Any, sizes: Any) -> Tensor:
    shape = torch_shape(at.any_tensor(input))
    axis = axis_of(at, dim, len(shape))
    at.require(isinstance(sizes, tuple | list), f"{sizes!r} is not a shape")
    wanted = _completed(tuple(sizes), shape[axis])
    at.require(wanted is not None, f"{sizes} are no parts of {shape[axis]}")
    return reshaped(at, input, (*shape[:axis], *(wanted or ()), *shape[axis + 1 :]))


@rule("view", "reshape", view=True, takes="any")
def _view(at: At, input: Tensor, *shape: Any) -> Tensor:
    return reshaped(at, input, shape[0] if len(shape) == 1 else shape)


@rule(torch.reshape, view=True, takes="any")
def _reshape(at: At, input: Tensor, shape: Any) -> Tensor:
    return reshaped(at, input, shape)


def reshaped(at: At, input: Tensor, shape: Any) -> Tensor:
    """The tensor under another shape; numbers are moved only to become rows, or where they must be."""
    given = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    before = torch_shape(at.any_tensor(input))
    at.require(all(isinstance(d, int) for d in given), f"{shape} is not a shape")
    wanted = _completed(given, math.prod(before))
    fits = wanted is not None and math.prod(wanted) == math.prod(before)
    at.require(fits, f"a tensor of shape {before} is none of shape {given}")
    if wanted is None or wanted == before:
        return input
    problem = f"from shape {before} to {given} is not computed: the first dimension must stay, that of images"
    at.require(wanted and wanted[0] == before[0], problem)
    if len(wanted) == 2 and isinstance(input, Value):
        return at.builder.rows(at.name, input)
    found = arranged(input).reshaped(wanted) or at.in_order(input).flat().reshaped(wanted)
    return at.plain(found) if len(wanted) == 2 else canonical(found)


def _completed(shape: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    """The shape with its -1 as a number; None where there is none that fits."""
    if shape.count(-1) > 1 or min(shape, default=1) < -1:
        return None
    known = math.prod(d for d in shape if d != -1)
    if -1 not in shape:
        return shape
    return tuple(count // known if d == -1 else d for d in shape) if known and count % known == 0 else None


def canonical(found: Arranged | None) -> Tensor:
    """The tensor as an image, or as rows of features, where it lies in memory as one."""
    if found is None:
        raise TypeError("a tensor in order has every shape of its size")
    return found.plain() or found


@rule("permute", view=True, takes="any")
def _permute(at: At, input: Tensor, *dims: Any) -> Tensor:
    return permuted(at, input, dims[0] if len(dims) == 1 else dims)


@rule(torch.permute, view=True, takes="any")
def _permute_function(at: At, input: Tensor, dims: Any) -> Tensor:
    return permuted(at, input, dims)


@rule("transpose", "swapaxes", "swapdims", view=True, takes="any")
@rule(torch.transpose, torch.swapaxes, torch.swapdims, view=True, takes="any")
def _transpose(at: At, input: Tensor, dim0: Any, dim1: Any) -> Tensor:
    rank = len(torch_shape(at.any_tensor(input)))
    order = list(range(rank))
    first, second = (axis_of(at, dim, rank) for dim in (dim0, dim1))
    order[first], order[second] = second, first
    return permuted(at, input, order)


def permuted(at: At, input: Tensor, dims: Any) -> Tensor:
    """The tensor with its axes in another order: it is moved when an operation needs it so."""
    rank = len(torch_shape(at.any_tensor(input)))
    given: Sequence[Any] = dims if isinstance(dims, tuple | list) else (dims,)
    order = [axis_of(at, dim, rank) for dim in given]
    at.require(sorted(order) == list(range(rank)), f"{tuple(given)} is no order of {rank} dimensions")
    at.require(order[0] == 0, "the first dimension, that of images, must stay where it is")
    return canonical(arranged(input).permuted(order).simple())


@rule(torch.unsqueeze, "unsqueeze", view=True, takes="any")
def _unsqueeze(at: At, input: Tensor, dim: Any) -> Tensor:
    shape = torch_shape(at.any_tensor(input))
    axis = axis_of(at, dim, len(shape) + 1)
    return reshaped(at, input, (*shape[:axis], 1, *shape[axis:]))


@rule(torch.squeeze, "squeeze", view=True, takes="any")
def _squeeze(at: At, input: Tensor, dim: Any = None) -> Tensor:
    shape = torch_shape(at.any_tensor(input))
    given = range(len(shape)) if dim is None else dim if isinstance(dim, tuple | list) else (dim,)
    gone = {axis for axis in (axis_of(at, d, len(shape)) for d in given) if shape[axis] == 1}
    at.require(0 not in gone, "a squeeze of the dimension of images is not computed; name another one")
    return reshaped(at, input, tuple(size for axis, size in enumerate(shape) if axis not in gone))

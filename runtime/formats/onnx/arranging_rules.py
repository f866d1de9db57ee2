"""Rules for steps that name numbers again, or in another order: views, permutations, parts, joined ones."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from runtime.formats.onnx.graph import Tensor
from runtime.formats.onnx.rulebook import At, exporter
from search_spaces import plain_layers


@exporter(nn.Identity, "contiguous", torch.clone, F.dropout)
def _unchanged(at: At, input: Tensor) -> str:
    return input.name


@exporter(nn.Flatten, nn.Unflatten, "unflatten", "view", torch.reshape, is_view=True)
@exporter("unsqueeze", "squeeze", is_view=True)
def _reshape(at: At, input: Tensor) -> str:
    """The tensor in the shape that torch gives it."""
    return input.name if at.shape == input.shape else at.reshaped(input, *at.shape[1:])


@exporter("permute", torch.permute)
def _permute(at: At, input: Tensor, dims: Any) -> str:
    return _permuted(at, input, dims[0] if len(dims) == 1 else dims)


@exporter("transpose", torch.transpose)
def _transpose(at: At, input: Tensor, dim0: int, dim1: int) -> str:
    order = list(range(len(input.shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permuted(at, input, order)


def _permuted(at: At, input: Tensor, dims: Any) -> str:
    given: Sequence[int] = dims if isinstance(dims, tuple | list) else (dims,)
    order = [dim % len(input.shape) for dim in given]
    return input.name if order == sorted(order) else at.op("Transpose", input, perm=order)


@exporter(nn.ChannelShuffle, plain_layers.ChannelShuffle)
def _channel_shuffle(at: At, input: Tensor, groups: int) -> str:
    _, channels, height, width = input.shape
    split = at.reshaped(input, groups, channels // groups, height, width)
    return at.reshaped(at.op("Transpose", split, perm=[0, 2, 1, 3, 4]), channels, height, width)


@exporter(torch.chunk)
def _chunk(at: At, input: Tensor, dim: int) -> tuple[str, ...]:
    return _parts(at, input, dim)


@exporter(torch.split)
def _split(at: At, tensor: Tensor, dim: int) -> tuple[str, ...]:
    return _parts(at, tensor, dim)


def _parts(at: At, input: Tensor, dim: int) -> tuple[str, ...]:
    axis = dim % len(input.shape)
    if len(at.shape) == 1:
        return (input.name,)
    sizes = np.array([shape[axis] for shape in at.shape], np.int64)
    return at.graph.ops("Split", input, sizes, axis=axis, outputs=len(sizes))


@exporter(torch.narrow)
def _narrow(at: At, input: Tensor, dim: int, start: int, length: int) -> str:
    axis = dim % len(input.shape)
    first = start % input.shape[axis] if start < 0 else start
    return _sliced(at, input, {axis: slice(first, first + length)})


@exporter(operator.getitem)
def _getitem(at: At, input: Any, index: Any) -> Any:
    if isinstance(input, tuple):  # of parts
        found = input[index]
        parts = (found,) if isinstance(found, Tensor) else found
        at.require(all(each.name for each in parts), "the indices of a maximum are not computed")
        return found.name if isinstance(found, Tensor) else tuple(each.name for each in found)
    given = index if isinstance(index, tuple) else (index,)
    named = sum(each is not None and each is not ... for each in given)
    taken: dict[int, slice] = {}
    axis = 0
    for each in given:
        if each is ...:
            axis += len(input.shape) - named
        elif each is not None:
            taken[axis] = each if isinstance(each, slice) else _one(each, input.shape[axis])
            axis += 1
    found = _sliced(at, input, taken)
    kept = [len(range(n)[taken.get(axis, slice(None))]) for axis, n in enumerate(input.shape)]
    return found if tuple(kept) == at.shape else at.reshaped(found, *at.shape[1:])


def _one(index: int, size: int) -> slice:
    return slice(index % size, index % size + 1)


def _sliced(at: At, input: Tensor, taken: dict[int, slice]) -> str:
    """Parts along axes; what takes all of an axis takes any number of images."""
    ranges = {axis: part.indices(input.shape[axis]) for axis, part in taken.items() if axis}
    used = {axis: r for axis, r in ranges.items() if r != (0, input.shape[axis], 1)}
    if not used:
        return input.name
    starts, ends, steps = (np.array(each, np.int64) for each in zip(*used.values(), strict=True))
    axes = np.array([*used], np.int64)
    return at.op("Slice", input, starts, ends, axes, *([steps] if (steps != 1).any() else []))


@exporter(torch.cat)
def _concat(at: At, tensors: Any, dim: int) -> str:
    return at.op("Concat", *tensors, axis=dim % len(tensors[0].shape))

"""Rules for layer and group norms and softmax: what is computed over all numbers of a row or a group."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from runtime.formats.onnx.graph import Tensor
from runtime.formats.onnx.rulebook import At, exporter
from runtime.lowering.rulebook import HeldWeight
from runtime.lowering.tensors import as_it_runs, numbers

Floats = NDArray[np.float32] | None


def _held(at: At) -> tuple[Floats, Floats]:
    """Weight and bias of the layer, None for what it has not."""
    with as_it_runs(at.layer) as own:
        weight, bias = (None if each is None else numbers(own, each) for each in (own.weight, own.bias))
        return weight, bias


def _given(weight: HeldWeight | None, bias: HeldWeight | None) -> tuple[Floats, Floats]:
    """Weight and bias that a function takes."""
    found = [None if each is None else numbers(each, each.tensor) for each in (weight, bias)]
    return found[0], found[1]


@exporter(nn.LayerNorm)
def _layer_norm(at: At, input: Tensor, normalized_shape: Any, eps: float) -> str:
    return _normed_rows(at, input, normalized_shape, *_held(at), eps)


@exporter(F.layer_norm)
def _function_layer_norm(
    at: At,
    input: Tensor,
    normalized_shape: Any,
    weight: HeldWeight | None,
    bias: HeldWeight | None,
    eps: float,
) -> str:
    return _normed_rows(at, input, normalized_shape, *_given(weight, bias), eps)


def _normed_rows(
    at: At, input: Tensor, normalized_shape: Any, weight: Floats, bias: Floats, eps: float
) -> str:
    shape = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
    scale = np.ones(shape, np.float32) if weight is None else weight
    more = [] if bias is None else [bias]
    return at.op("LayerNormalization", input, scale, *more, axis=-len(shape), epsilon=float(eps))


@exporter(nn.GroupNorm)
def _group_norm(at: At, input: Tensor, num_groups: int, eps: float) -> str:
    return _normed_groups(at, input, num_groups, *_held(at), eps)


@exporter(F.group_norm)
def _function_group_norm(
    at: At, input: Tensor, num_groups: int, weight: HeldWeight | None, bias: HeldWeight | None, eps: float
) -> str:
    return _normed_groups(at, input, num_groups, *_given(weight, bias), eps)


def _normed_groups(at: At, input: Tensor, groups: int, weight: Floats, bias: Floats, eps: float) -> str:
    size = prod(input.shape[1:]) // groups
    rows = at.reshaped(input, groups, size)
    ones = np.ones(size, np.float32)
    found = at.op("LayerNormalization", rows, ones, axis=-1, epsilon=float(eps))
    found = at.reshaped(found, *input.shape[1:])
    shape = (-1, *[1] * (len(input.shape) - 2))
    if weight is not None:
        found = at.op("Mul", found, weight.reshape(shape))
    return found if bias is None else at.op("Add", found, bias.reshape(shape))


@exporter(nn.Softmax)
def _softmax(at: At, input: Tensor, dim: int) -> str:
    return at.op("Softmax", input, axis=dim)


@exporter(nn.LogSoftmax)
def _log_softmax(at: At, input: Tensor, dim: int) -> str:
    return at.op("LogSoftmax", input, axis=dim)


@exporter(nn.Softmax2d)
def _softmax2d(at: At, input: Tensor) -> str:
    return at.op("Softmax", input, axis=1)

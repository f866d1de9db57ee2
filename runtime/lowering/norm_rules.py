"""Rules for layer and group norms and softmax: what is computed over all numbers of a row or a group."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from runtime.graph import Constants, MakeConstants, Value
from runtime.lowering.arrangement import Tensor
from runtime.lowering.arranging_rules import axis_of, canonical
from runtime.lowering.rulebook import At, pixels, rule, torch_shape
from runtime.lowering.tensors import as_it_runs, numbers
from runtime.lowering.weights import require_held
from runtime.workload import GroupNorm, LayerNorm, Softmax

ReadWeights = Callable[[], tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]]
"""Gives a norm's weight and bias; None for what it has not."""


@rule(nn.LayerNorm, options=("normalized_shape", "eps"), takes="any")
def _layer_norm(at: At, input: Tensor, normalized_shape: Any, eps: float) -> Tensor:
    return _normed_rows(at, input, normalized_shape, eps, _of_layer(at), at.layer)


@rule(F.layer_norm, torch.layer_norm, takes="any")
def _function_layer_norm(
    at: At, input: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    return _normed_rows(at, input, normalized_shape, eps, _of_function(at, weight, bias), _same(weight, bias))


def _normed_rows(
    at: At, input: Tensor, normalized_shape: Any, eps: float, read: ReadWeights, same: Any
) -> Tensor:
    shape = torch_shape(at.any_tensor(input))
    given = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
    first = len(shape) - len(given)
    at.require(first > 0 and shape[first:] == given, f"it norms {given}, but gets a tensor of shape {shape}")
    tensor, features = at.with_last(input, range(first, len(shape)))
    batch, rows = shape[0], math.prod(shape[1:first])
    work = LayerNorm(batch, rows, features)
    constants = _norm_constants(features, eps, read)
    written = at.emit(work, [tensor.value], tensor.value.shape, constants, (same, eps))
    return canonical(replace(tensor, value=written))


@rule(nn.GroupNorm, options=("num_groups", "eps"))
def _group_norm(at: At, input: Value, num_groups: int, eps: float) -> Value:
    return _normed_groups(at, input, num_groups, eps, _of_layer(at), at.layer)


@rule(F.group_norm, torch.group_norm)
def _function_group_norm(
    at: At,
    input: Value,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Value:
    return _normed_groups(at, input, num_groups, eps, _of_function(at, weight, bias), _same(weight, bias))


def _normed_groups(at: At, input: Value, groups: int, eps: float, read: ReadWeights, same: Any) -> Value:
    value = at.tensor(input)
    channels = value.shape[-1]
    fits = isinstance(groups, int) and groups > 0 and channels % groups == 0
    at.require(fits, f"{groups} groups do not divide {channels} channels")
    work = GroupNorm(value.shape[0], pixels(value), channels, groups)
    return at.emit(work, [value], value.shape, _norm_constants(channels, eps, read), (same, eps))


def _of_layer(at: At) -> ReadWeights:
    """The weights of a layer, as they are when it runs."""
    layer = at.layer

    def read() -> Any:
        with as_it_runs(layer) as own:
            return tuple(t if t is None else numbers(layer, t) for t in (own.weight, own.bias))

    return read


def _of_function(at: At, weight: Any, bias: Any) -> ReadWeights:
    """The weights that a function is given."""
    require_held(at, weight, bias)

    def read() -> Any:
        return tuple(each and numbers(each, each.tensor) for each in (weight, bias))

    return read


def _same(weight: Any, bias: Any) -> Any:
    """What tells the weights of a function from others."""
    return tuple(each and id(each.tensor) for each in (weight, bias))


def _norm_constants(count: int, eps: float, read: ReadWeights) -> MakeConstants:
    def constants() -> Constants:
        weight, bias = read()
        scale = np.ones(count, np.float32) if weight is None else weight.reshape(-1)
        shift = np.zeros(count, np.float32) if bias is None else bias.reshape(-1)
        return {"scale": scale, "bias": shift, "epsilon": np.array([eps], np.float32)}

    return constants


@rule(nn.Softmax, options=("dim",), takes="any")
@rule(torch.softmax, "softmax", F.softmax, takes="any")
def _softmax(at: At, input: Tensor, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return _shares(at, input, dim, dtype, log=False)


@rule(nn.LogSoftmax, options=("dim",), takes="any")
@rule(torch.log_softmax, "log_softmax", F.log_softmax, takes="any")
def _log_softmax(at: At, input: Tensor, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return _shares(at, input, dim, dtype, log=True)


@rule(nn.Softmax2d)
def _softmax2d(at: At, input: Value) -> Tensor:
    return _shares(at, at.image(input), 1, None, log=False)


def _shares(at: At, input: Tensor, dim: Any, dtype: Any, log: bool) -> Tensor:
    """A softmax along one axis, which is brought to the end of memory for it."""
    shape = torch_shape(at.any_tensor(input))
    at.require(dim is not None, "it has no dimension; pass dim=1 for that of channels or features")
    at.require(dtype in (None, torch.float32), f"{dtype} is not computed; leave dtype out")
    axis = axis_of(at, dim, len(shape))
    at.require(axis > 0, "a softmax over the images of a batch is not computed; name another dimension")
    tensor, features = at.with_last(input, [axis])
    work = Softmax(shape[0], math.prod(shape[1:]) // features, features, log)
    return canonical(replace(tensor, value=at.emit(work, [tensor.value], tensor.value.shape)))

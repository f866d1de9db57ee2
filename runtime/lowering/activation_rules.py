"""Rules for activations other than a ReLU: each is a kernel that maps numbers one by one."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.rulebook import At, finite_number, pixels, rule
from runtime.workload import Elu, Gelu, Hardsigmoid, Hardswish, Prelu, Sigmoid, Silu


def _mapped(at: At, kind: Any, value: Value) -> Value:
    """Each number by itself."""
    return at.emit(kind(at.builder.batch, math.prod(at.tensor(value).shape)), [value], value.shape)


@rule(nn.Sigmoid, torch.sigmoid, torch.sigmoid_, F.sigmoid, "sigmoid", "sigmoid_", takes="numbers")
def _sigmoid(at: At, input: Value) -> Value:
    return _mapped(at, Sigmoid, input)


@rule(nn.SiLU, options=("inplace",), takes="numbers")
@rule(F.silu, takes="numbers")
def _silu(at: At, input: Value, inplace: bool = False) -> Value:
    return _mapped(at, Silu, input)


@rule(nn.Hardsigmoid, options=("inplace",), takes="numbers")
@rule(F.hardsigmoid, takes="numbers")
def _hardsigmoid(at: At, input: Value, inplace: bool = False) -> Value:
    return _mapped(at, Hardsigmoid, input)


@rule(nn.Hardswish, options=("inplace",), takes="numbers")
@rule(F.hardswish, takes="numbers")
def _hardswish(at: At, input: Value, inplace: bool = False) -> Value:
    return _mapped(at, Hardswish, input)


@rule(nn.GELU, options=("approximate",), takes="numbers")
@rule(F.gelu, takes="numbers")
def _gelu(at: At, input: Value, approximate: str = "none") -> Value:
    at.require(approximate in ("none", "tanh"), f"approximate {approximate!r} is neither 'none' nor 'tanh'")
    work = Gelu(at.builder.batch, math.prod(at.tensor(input).shape), approximate == "tanh")
    return at.emit(work, [input], input.shape)


@rule(nn.ELU, options=("alpha", "inplace"), takes="numbers")
@rule(F.elu, F.elu_, takes="numbers")
def _elu(at: At, input: Value, alpha: float = 1.0, inplace: bool = False) -> Value:
    work, alpha = Elu(at.builder.batch, math.prod(at.tensor(input).shape)), finite_number(at, alpha)
    return at.emit(
        work, [input], input.shape, lambda: {"alpha": np.array([alpha], np.float32)}, ("elu", alpha)
    )


@rule(nn.LeakyReLU, options=("negative_slope", "inplace"), takes="numbers")
@rule(F.leaky_relu, F.leaky_relu_, takes="numbers")
def _leaky_relu(at: At, input: Value, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    value, channels = at.tensor(input), input.shape[-1]
    workload = Prelu(value.shape[0], pixels(value), channels)
    slope = np.full(channels, finite_number(at, negative_slope), np.float32)
    return at.emit(workload, [value], value.shape, lambda: {"slope": slope}, ("leaky", float(negative_slope)))

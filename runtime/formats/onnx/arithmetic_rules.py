"""Rules for steps that compute number by number: activations, sums, products."""

import operator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from runtime.formats.onnx.graph import Operand, Tensor
from runtime.formats.onnx.rulebook import At, exporter
from runtime.lowering.rulebook import HeldWeight
from runtime.lowering.tensors import numbers


def _operand(value: Any) -> Operand:
    """A tensor, a parameter, or a number."""
    if isinstance(value, Tensor):
        return value
    return numbers(value, value.tensor) if isinstance(value, HeldWeight) else np.float32(value)


@exporter(nn.ReLU)
def _relu(at: At, input: Tensor) -> str:
    return at.op("Relu", input)


@exporter(F.relu6)
def _relu6(at: At, input: Tensor) -> str:
    return at.op("Clip", input, np.float32(0), np.float32(6))


@exporter(nn.ReLU6, nn.Hardtanh)
def _hardtanh(at: At, input: Tensor, min_val: float, max_val: float) -> str:
    return _clamp(at, input, min_val, max_val)


@exporter(torch.clamp)
def _clamp(at: At, input: Tensor, min: Any, max: Any) -> str:
    if min == 0 and max is None:
        return at.op("Relu", input)
    ends = ["" if end is None else np.float32(end) for end in (min, max)]
    return at.op("Clip", input, *ends)


@exporter(torch.clamp_min)
def _clamp_min(at: At, input: Tensor, min: Any) -> str:
    return _clamp(at, input, min, None)


@exporter(torch.mul)
def _mul(at: At, input: Any, other: Any) -> str:
    return at.op("Mul", _operand(input), _operand(other))


@exporter(operator.truediv)
def _div(at: At, input: Tensor, other: Any) -> str:
    return at.op("Div", input, np.float32(other))


@exporter(torch.neg)
def _neg(at: At, input: Tensor) -> str:
    return at.op("Neg", input)


@exporter(torch.add)
def _add(at: At, input: Any, other: Any, alpha: Any) -> str:
    return at.op("Add", _operand(input), _times(at, other, alpha))


@exporter(torch.sub)
def _sub(at: At, input: Any, other: Any, alpha: Any) -> str:
    return at.op("Sub", _operand(input), _times(at, other, alpha))


def _times(at: At, other: Any, alpha: Any) -> Operand:
    if alpha == 1:
        return _operand(other)
    if isinstance(other, int | float):
        return np.float32(alpha * other)
    return at.op("Mul", _operand(other), np.float32(alpha))


@exporter(nn.Sigmoid)
def _sigmoid(at: At, input: Tensor) -> str:
    return at.op("Sigmoid", input)


@exporter(nn.SiLU)
def _silu(at: At, input: Tensor) -> str:
    return at.op("Mul", input, at.op("Sigmoid", input))


@exporter(nn.Hardsigmoid)
def _hardsigmoid(at: At, input: Tensor) -> str:
    return at.op("HardSigmoid", input, alpha=1 / 6, beta=0.5)


@exporter(nn.Hardswish)
def _hardswish(at: At, input: Tensor) -> str:
    return at.op("HardSwish", input)


@exporter(nn.GELU)
def _gelu(at: At, input: Tensor, approximate: str) -> str:
    return at.op("Gelu", input, approximate=None if approximate == "none" else approximate)


@exporter(nn.ELU)
def _elu(at: At, input: Tensor, alpha: float) -> str:
    return at.op("Elu", input, alpha=float(alpha))


@exporter(nn.LeakyReLU)
def _leaky_relu(at: At, input: Tensor, negative_slope: float) -> str:
    return at.op("LeakyRelu", input, alpha=float(negative_slope))

"""Rules for steps that compute number by number: activations, sums, products."""

import math
import operator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.folding import SameForAll
from runtime.lowering.rulebook import At, pixels, rule
from runtime.workload import Add, Affine, Prelu, Relu6, ScaleChannels, Sigmoid

FLOAT_MAX = float(np.finfo(np.float32).max)
"""No number that tensors are computed with is larger."""


@rule(nn.ReLU, options=("inplace",))
@rule(F.relu, torch.relu, torch.relu_, F.relu_, "relu", "relu_")
def _relu(at: At, input: Value, inplace: bool = False) -> Value:
    return at.builder.relu(at.name, at.tensor(input))


@rule(F.relu6)
def _relu6(at: At, input: Value, inplace: bool = False) -> Value:
    return _clamped(at, at.tensor(input))


@rule(nn.ReLU6, options=("min_val", "max_val", "inplace"))  # a Hardtanh, whose ends may have been moved
@rule(nn.Hardtanh, options=("min_val", "max_val", "inplace"))
@rule(F.hardtanh, F.hardtanh_)
def _hardtanh(at: At, input: Value, min_val: float = -1, max_val: float = 1, inplace: bool = False) -> Value:
    return _clamp(at, input, min_val, max_val)


@rule("clamp", "clamp_", "clip", "clip_", torch.clamp, torch.clamp_, torch.clip, torch.clip_)
def _clamp(at: At, input: Value, min: Any = None, max: Any = None) -> Value:
    is_zero = isinstance(min, int | float) and min == 0
    at.require(is_zero, "only a lower end of 0 is computed, as of a ReLU")
    if max is None:
        return at.builder.relu(at.name, at.tensor(input))
    is_six = isinstance(max, int | float) and max == 6
    at.require(is_six, "only an upper end of 6 is computed, as of a ReLU6")
    return _clamped(at, at.tensor(input))


@rule("clamp_min", "clamp_min_", torch.clamp_min, torch.clamp_min_)
def _clamp_min(at: At, input: Value, min: Any) -> Value:
    return _clamp(at, input, min)


def _clamped(at: At, value: Value, part: str = "") -> Value:
    return at.emit(Relu6(at.builder.batch, math.prod(value.shape)), [value], value.shape, part=part)


@rule(nn.LeakyReLU, options=("negative_slope", "inplace"))
@rule(F.leaky_relu, F.leaky_relu_)
def _leaky_relu(at: At, input: Value, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    value, channels = at.tensor(input), input.shape[-1]
    workload = Prelu(value.shape[0], pixels(value), channels)
    slope = np.full(channels, _number(at, negative_slope), np.float32)
    return at.emit(workload, [value], value.shape, lambda: {"slope": slope}, ("leaky", float(negative_slope)))


@rule(nn.Sigmoid, torch.sigmoid, torch.sigmoid_, F.sigmoid, "sigmoid", "sigmoid_")
def _sigmoid(at: At, input: Value) -> Value:
    return _sigmoids(at, at.tensor(input))


def _sigmoids(at: At, value: Value, part: str = "") -> Value:
    return at.emit(Sigmoid(at.builder.batch, math.prod(value.shape)), [value], value.shape, part=part)


@rule(nn.SiLU, options=("inplace",))
@rule(F.silu)
def _silu(at: At, input: Value, inplace: bool = False) -> Value:
    return _product(at, at.tensor(input), _sigmoids(at, input, "sigmoid"))


@rule(nn.Hardsigmoid, options=("inplace",))
@rule(F.hardsigmoid)
def _hardsigmoid(at: At, input: Value, inplace: bool = False) -> Value:
    return _sixths(at, at.tensor(input))


@rule(nn.Hardswish, options=("inplace",))
@rule(F.hardswish)
def _hardswish(at: At, input: Value, inplace: bool = False) -> Value:
    return _product(at, at.tensor(input), _sixths(at, input))


def _sixths(at: At, value: Value) -> Value:
    """relu6(x + 3) / 6."""
    clamped = _clamped(at, _scaled(at, value, 1.0, 3.0, "shift"), "relu6")
    return _scaled(at, clamped, 1 / 6, 0.0, "scale")


def _number(at: At, given: Any) -> float:
    """A number that a tensor is computed with."""
    at.require(isinstance(given, int | float), f"{given!r} is neither a tensor nor a number")
    at.require(abs(given) <= FLOAT_MAX, "a number is not finite in float32; only finite ones are computed")
    return float(given)


def _scaled(
    at: At, value: Value, scale: float, bias: float, part: str = "", is_inverse: bool = False
) -> Value:
    """The value times a number, plus a number; the first may be the inverse of one that divides."""
    workload = Affine(value.shape[0], pixels(value), value.shape[-1])
    constants = SameForAll(workload.channels, _number(at, scale), _number(at, bias), is_inverse)
    return at.emit(workload, [value], value.shape, constants, constants, part)


@rule(operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", "multiply", "multiply_")
def _mul(at: At, input: Any, other: Any) -> Value:
    if not (isinstance(input, Value) and isinstance(other, Value)):
        value, number = (input, other) if isinstance(input, Value) else (other, input)
        return _scaled(at, at.tensor(value), _number(at, number), 0.0)
    if input.shape == other.shape:
        return _product(at, input, other)
    image, factor = sorted((input, other), key=lambda v: -math.prod(v.shape))
    n, height, width, channels = at.image(image).shape
    fits = factor.shape == (n, 1, 1, channels)
    at.require(fits, f"only a number for each channel multiplies an image, not {factor.shape}")
    return at.emit(ScaleChannels(n, height * width, channels), [image, factor], image.shape)


def _product(at: At, left: Value, right: Value) -> Value:
    """The product of two tensors of one shape, whose numbers are then channels of one pixel each."""
    size = math.prod(left.shape[1:])
    return at.emit(ScaleChannels(left.shape[0], 1, size), [left, right], left.shape)


@rule(operator.truediv, operator.itruediv, torch.div, "div", "div_")
def _div(at: At, input: Any, other: Any) -> Value:
    at.require(
        isinstance(input, Value) and not isinstance(other, Value), "only tensors are divided, by numbers"
    )
    divisor = float(np.float32(_number(at, other)))
    at.require(divisor != 0, "a division by 0 is not computed")
    at.require(
        abs(divisor) * FLOAT_MAX >= 1,
        f"float32 does not hold the inverse of {other}",
    )
    is_rounded = abs(math.frexp(divisor)[0]) != 0.5  # of powers of 2, the inverse is exact
    return _scaled(at, input, 1 / divisor, 0.0, is_inverse=is_rounded)


@rule(operator.neg, torch.neg, "neg", "neg_")
def _neg(at: At, input: Value) -> Value:
    return _scaled(at, at.tensor(input), -1.0, 0.0)


@rule(operator.add, operator.iadd, torch.add, "add", "add_")
def _add(at: At, input: Any, other: Any, alpha: Any = 1) -> Value:
    factor = _number(at, alpha)
    if not isinstance(other, Value):
        return _scaled(at, at.tensor(input), 1.0, factor * _number(at, other))
    if factor != 1:
        other = _scaled(at, other, factor, 0.0, "alpha")
    if not isinstance(input, Value):
        return _scaled(at, other, 1.0, _number(at, input), "number")
    at.require(input.shape == other.shape, f"shapes {input.shape} and {other.shape} differ")
    return at.emit(Add(input.shape[0], math.prod(input.shape)), [input, other], input.shape)


@rule(operator.sub, operator.isub, torch.sub, "sub", "sub_")
def _sub(at: At, input: Any, other: Any, alpha: Any = 1) -> Value:
    return _add(at, input, other, -_number(at, alpha))

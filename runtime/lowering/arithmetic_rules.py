"""Rules for steps that compute number by number: activations, sums, products."""

import math
import operator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.arrangement import Tensor
from runtime.lowering.folding import SameForAll
from runtime.lowering.operands import along_pixels, by_parameter, elementwise, elementwise_of_two
from runtime.lowering.rulebook import FLOAT_MAX, At, HeldWeight, finite_number, pixels, rule, torch_shape
from runtime.workload import Add, Affine, Relu6, ScaleChannels


@rule(nn.ReLU, options=("inplace",), takes="numbers")
@rule(F.relu, torch.relu, torch.relu_, F.relu_, "relu", "relu_", takes="numbers")
def _relu(at: At, input: Value, inplace: bool = False) -> Value:
    return at.builder.relu(at.name, at.tensor(input))


@rule(F.relu6, takes="numbers")
def _relu6(at: At, input: Value, inplace: bool = False) -> Value:
    return _clamped(at, at.tensor(input))


HARDTANH = ("min_val", "max_val", "inplace")


@rule(nn.ReLU6, options=HARDTANH, takes="numbers")  # a Hardtanh, whose ends may have been moved
@rule(nn.Hardtanh, options=HARDTANH, takes="numbers")
@rule(F.hardtanh, F.hardtanh_, takes="numbers")
def _hardtanh(at: At, input: Value, min_val: float = -1, max_val: float = 1, inplace: bool = False) -> Value:
    return _clamp(at, input, min_val, max_val)


@rule("clamp", "clamp_", "clip", "clip_", torch.clamp, torch.clamp_, torch.clip, torch.clip_, takes="numbers")
def _clamp(at: At, input: Value, min: Any = None, max: Any = None) -> Value:
    is_zero = isinstance(min, int | float) and min == 0
    at.require(is_zero, "only a lower end of 0 is computed, as of a ReLU")
    if max is None:
        return at.builder.relu(at.name, at.tensor(input))
    is_six = isinstance(max, int | float) and max == 6
    at.require(is_six, "only an upper end of 6 is computed, as of a ReLU6")
    return _clamped(at, at.tensor(input))


@rule("clamp_min", "clamp_min_", torch.clamp_min, torch.clamp_min_, takes="numbers")
def _clamp_min(at: At, input: Value, min: Any) -> Value:
    return _clamp(at, input, min)


def _clamped(at: At, value: Value, part: str = "") -> Value:
    return at.emit(Relu6(at.builder.batch, math.prod(value.shape)), [value], value.shape, part=part)


def _scaled(
    at: At, value: Value, scale: float, bias: float, part: str = "", is_inverse: bool = False
) -> Value:
    """The value times a number, plus a number; the first may be the inverse of one that divides."""
    workload = Affine(value.shape[0], pixels(value), value.shape[-1])
    constants = SameForAll(workload.channels, finite_number(at, scale), finite_number(at, bias), is_inverse)
    return at.emit(workload, [value], value.shape, constants, constants, part)


@rule(
    operator.mul,
    operator.imul,
    torch.mul,
    torch.multiply,
    "mul",
    "mul_",
    "multiply",
    "multiply_",
    takes="any",
    held=True,
)
def _mul(at: At, input: Any, other: Any) -> Tensor:
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        return _product(at, input, other)
    tensor, factor = (input, other) if isinstance(input, Tensor) else (other, input)
    at.any_tensor(tensor)
    if isinstance(factor, HeldWeight):
        return by_parameter(at, tensor, factor, "scale")
    number = finite_number(at, factor)
    return elementwise(tensor, lambda value: _scaled(at, value, number, 0.0))


def _product(at: At, left: Tensor, right: Tensor) -> Tensor:
    """The product of two tensors of one shape, or of images of which one is broadcast, as a gate is."""
    repeated = at.builder.repeated
    if isinstance(left, Value) and isinstance(right, Value) and left.shape == right.shape:
        if right.index in repeated:
            right = repeated[right.index]
        elif left.index in repeated:
            left = repeated[left.index]
    if torch_shape(left) == torch_shape(right):
        return elementwise_of_two(at, left, right, _of_one_shape)
    image, factor = sorted(map(at.plain, (left, right)), key=lambda v: -math.prod(v.shape))
    n, height, width, channels = at.image(image).shape
    if factor.shape == (n, 1, 1, channels):
        return at.emit(ScaleChannels(n, height * width, channels), [image, factor], image.shape)
    image, factor = along_pixels(at, image, factor)
    n, height, width, channels = image.shape
    if factor.shape[-1] == channels:
        return _of_one_shape(at, image, factor)
    at.require(factor.shape[-1] == 1, f"shapes {torch_shape(left)} and {torch_shape(right)} do not broadcast")
    return at.emit(ScaleChannels(n * height * width, channels, 1), [image, factor], image.shape)


def _of_one_shape(at: At, left: Value, right: Value) -> Value:
    """A product whose numbers are channels of one pixel each."""
    size = math.prod(left.shape[1:])
    return at.emit(ScaleChannels(left.shape[0], 1, size), [left, right], left.shape)


@rule(operator.truediv, operator.itruediv, torch.div, "div", "div_", takes="numbers")
def _div(at: At, input: Any, other: Any) -> Value:
    at.require(
        isinstance(input, Value) and not isinstance(other, Value), "only tensors are divided, by numbers"
    )
    divisor = float(np.float32(finite_number(at, other)))
    at.require(divisor != 0, "a division by 0 is not computed")
    at.require(
        abs(divisor) * FLOAT_MAX >= 1,
        f"float32 does not hold the inverse of {other}",
    )
    is_rounded = abs(math.frexp(divisor)[0]) != 0.5  # of powers of 2, the inverse is exact
    return _scaled(at, input, 1 / divisor, 0.0, is_inverse=is_rounded)


@rule(operator.neg, torch.neg, "neg", "neg_", takes="numbers")
def _neg(at: At, input: Value) -> Value:
    return _scaled(at, at.tensor(input), -1.0, 0.0)


@rule(operator.add, operator.iadd, torch.add, "add", "add_", takes="any", held=True)
def _add(at: At, input: Any, other: Any, alpha: Any = 1) -> Tensor:
    factor = finite_number(at, alpha)
    if isinstance(input, HeldWeight) and factor == 1:
        input, other = other, input
    if isinstance(other, HeldWeight):
        at.require(factor == 1, "alpha is not computed with a parameter")
        return by_parameter(at, at.any_tensor(input), other, "bias")
    if not isinstance(other, Tensor):
        number = factor * finite_number(at, other)
        return elementwise(at.any_tensor(input), lambda value: _scaled(at, value, 1.0, number))
    if factor != 1:
        other = elementwise(other, lambda value: _scaled(at, value, factor, 0.0, "alpha"))
    if not isinstance(input, Tensor):
        number = finite_number(at, input)
        return elementwise(other, lambda value: _scaled(at, value, 1.0, number, "number"))
    if torch_shape(input) == torch_shape(other):
        return elementwise_of_two(at, input, other, _sum)
    left, right = along_pixels(at, at.plain(input), at.plain(other))
    shapes = torch_shape(input), torch_shape(other)
    at.require(left.shape == right.shape, f"shapes {shapes[0]} and {shapes[1]} differ in their channels")
    return _sum(at, left, right)


def _sum(at: At, left: Value, right: Value) -> Value:
    return at.emit(Add(left.shape[0], math.prod(left.shape)), [left, right], left.shape)


@rule(operator.sub, operator.isub, torch.sub, "sub", "sub_", takes="any")
def _sub(at: At, input: Any, other: Any, alpha: Any = 1) -> Tensor:
    return _add(at, input, other, -finite_number(at, alpha))

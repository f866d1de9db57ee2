"""Rules for layers that hold numbers: convolutions, dense layers, batch norms, learned slopes and scales."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from runtime.formats.onnx.graph import Operand, Tensor
from runtime.formats.onnx.inputs import PLUS, coded
from runtime.formats.onnx.products import Products
from runtime.formats.onnx.rulebook import At, exporter
from runtime.formats.onnx.windows import bordered, sides, two, window
from runtime.lowering.folding import BatchNorm
from runtime.lowering.rulebook import HeldWeight
from runtime.lowering.tensors import as_it_runs, numbers
from search_spaces import layers, plain_layers

Array = NDArray[Any]


@exporter(layers.QuantConv2d, folds=True)
def _quant_conv2d(at: At, input: Tensor) -> str:
    layer = at.layer
    x = coded(at, input, layer.activation)
    pads = sides(two(layer.kernel), layer.padding, layer.dilation)
    if x.kind == "signs":
        x, pads = x._replace(name=bordered(at, x.name, pads, PLUS)), (0, 0, 0, 0)
    return Products(at, window(layer.stride, pads, layer.dilation, layer.groups)).of(x)


@exporter(layers.QuantLinear, folds=True)
def _quant_linear(at: At, input: Tensor) -> str:
    return Products(at).of(coded(at, input, at.layer.activation))


def _held(at: At) -> tuple[Array, Array | None]:
    """Weight and bias of the layer, float64."""
    with as_it_runs(at.layer) as own:
        bias = None if own.bias is None else numbers(own, own.bias, np.float64)
        return numbers(own, own.weight, np.float64), bias


def _given(weight: HeldWeight, bias: HeldWeight | None) -> tuple[Array, Array | None]:
    """Weight and bias that a function takes, float64."""
    found = numbers(weight, weight.tensor, np.float64)
    return found, None if bias is None else numbers(bias, bias.tensor, np.float64)


def _normed(at: At, weight: Array, bias: Array | None) -> list[Array]:
    """Weight (O, ...) and bias as constants, with the batch norm that follows."""
    if at.norm is not None:
        bias = at.norm.bias + (0 if bias is None else at.norm.scale * bias)
        weight = weight * at.norm.scale.reshape(-1, *[1] * (weight.ndim - 1))
    found = [weight.astype(np.float32)]
    return found if bias is None or not bias.any() else [*found, bias.astype(np.float32)]


@exporter(nn.Conv2d, folds=True)
def _conv2d(at: At, input: Tensor) -> str:
    layer = at.layer
    return _convolution(at, input, *_held(at), layer.stride, layer.padding, layer.dilation, layer.groups)


@exporter(F.conv2d, folds=True)
def _function_conv2d(
    at: At,
    input: Tensor,
    weight: HeldWeight,
    bias: HeldWeight | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> str:
    return _convolution(at, input, *_given(weight, bias), stride, padding, dilation, groups)


def _convolution(
    at: At,
    input: Tensor,
    weight: Array,
    bias: Array | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> str:
    pads = sides(two(weight.shape[2:]), padding, dilation)
    return at.main("Conv", input, *_normed(at, weight, bias), **window(stride, pads, dilation, groups))


@exporter(nn.ConvTranspose2d)
def _transposed_conv2d(at: At, input: Tensor) -> str:
    layer = at.layer
    how = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    return _transposed(at, input, *_held(at), *how)


@exporter(F.conv_transpose2d)
def _function_transposed_conv2d(
    at: At,
    input: Tensor,
    weight: HeldWeight,
    bias: HeldWeight | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> str:
    return _transposed(at, input, *_given(weight, bias), stride, padding, output_padding, groups, dilation)


def _transposed(
    at: At,
    input: Tensor,
    weight: Array,
    bias: Array | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> str:
    added = two(output_padding)
    how = window(stride, two(padding) * 2, dilation, groups)
    how["output_padding"] = added if any(added) else None
    return at.main("ConvTranspose", input, *_normed(at, weight, bias), **how)


@exporter(nn.Linear, folds=True)
def _linear(at: At, input: Tensor) -> str:
    return _dense(at, input, *_held(at))


@exporter(F.linear, folds=True)
def _function_linear(at: At, input: Tensor, weight: HeldWeight, bias: HeldWeight | None) -> str:
    return _dense(at, input, *_given(weight, bias))


def _dense(at: At, input: Tensor, weight: Array, bias: Array | None) -> str:
    own = _normed(at, weight, bias)
    if len(input.shape) == 2:
        return at.main("Gemm", input, *own, transB=1)
    product = at.main("MatMul", input, own[0].T)
    return at.op("Add", product, own[1]) if len(own) > 1 else product


@exporter(nn.BatchNorm2d, nn.BatchNorm1d)
def _batch_norm(at: At, input: Tensor) -> str:
    """One that no layer has folded."""
    found = BatchNorm(at.layer)()
    shape = (-1, *[1] * (len(input.shape) - 2))
    scale, bias = (np.broadcast_to(found[key], input.shape[1]) for key in ("scale", "bias"))
    scaled = at.op("Mul", input, scale.astype(np.float32).reshape(shape))
    return at.op("Add", scaled, bias.astype(np.float32).reshape(shape))


def _own(at: At, read: Any) -> NDArray[np.float32]:
    """Numbers of the layer as it runs."""
    with as_it_runs(at.layer) as own:
        return numbers(own, read(own))


@exporter(nn.PReLU)
def _prelu(at: At, input: Tensor) -> str:
    slope = _own(at, lambda own: own.weight)
    shape = (-1, *[1] * (len(input.shape) - 2)) if slope.size > 1 else ()
    return at.op("PRelu", input, slope.reshape(shape or (1,)))


@exporter(plain_layers.ChannelShift)
def _channel_shift(at: At, input: Tensor) -> str:
    return at.op("Add", input, _own(at, lambda own: own.shift)[:, None, None])


@exporter(plain_layers.OutputScale)
def _output_scale(at: At, input: Tensor) -> str:
    """By its factors, which are smaller than their product."""
    first, *others = (_own(at, lambda own, i=index: own.factors[i]) for index in range(len(at.layer.factors)))
    merged: Operand = first
    for each in others:
        merged = at.op("Mul", merged, each)
    return at.op("Mul", input, merged)


@exporter(plain_layers.Subsample)
def _subsample(at: At, input: Tensor) -> str:
    layer, found = at.layer, input.name
    if layer.stride > 1:
        starts, axes = np.zeros(2, np.int64), np.array([2, 3], np.int64)
        ends, steps = np.array(input.shape[2:], np.int64), np.full(2, layer.stride, np.int64)
        found = at.op("Slice", found, starts, ends, axes, steps)
    if layer.added:
        found = at.op("Pad", found, np.array([0, 0, 0, 0, 0, layer.added, 0, 0], np.int64))
    return found

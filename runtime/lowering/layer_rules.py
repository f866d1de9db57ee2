"""Rules for layers that hold numbers: convolutions, dense layers, batch norms, learned slopes and scales."""

import math
from typing import Any

import numpy as np
from torch import nn
from torch.nn import functional as F

from runtime.graph import Constants, Value
from runtime.lowering.arrangement import Arranged, Tensor
from runtime.lowering.arranging_rules import canonical
from runtime.lowering.folding import BatchNorm
from runtime.lowering.layers import convolve, plain, quantized
from runtime.lowering.rulebook import At, pixels, rule, torch_shape
from runtime.lowering.tensors import as_it_runs, numbers
from runtime.lowering.transposed import transposed
from runtime.lowering.weights import require_weight, weighted
from runtime.lowering.windows import convolution_window, with_border
from runtime.workload import Affine, AffineMap, Prelu, Subsample, Window
from search_spaces import layers, plain_layers


@rule(layers.QuantConv2d)
def _quant_conv2d(at: At, input: Value) -> Value:
    layer, image = at.layer, at.image(input)
    require_weight(at, 4)
    window = convolution_window(
        at, tuple(layer.weight.shape[2:]), layer.stride, layer.padding, layer.dilation
    )
    if layer.activation.dither is None:  # a sign of zero is +1, as its padding is, unless a mask is added
        image, window = with_border(at, image, window)
    return convolve(at, image, layer.activation, quantized(layer), window, layer.groups)


@rule(layers.QuantLinear)
def _quant_linear(at: At, input: Value) -> Value:
    require_weight(at, 2)
    layer = at.layer
    return convolve(at, _rows(at, input), layer.activation, quantized(layer), Window())


@rule(nn.Conv2d)
def _conv2d(at: At, input: Value) -> Value:
    layer = at.layer
    _require_zeros(at)
    return _convolution(at, input, layer.stride, layer.padding, layer.dilation)


def _require_zeros(at: At) -> None:
    mode = at.layer.padding_mode
    at.require(mode == "zeros", f"padding_mode '{mode}' is not computed; only 'zeros' is")


@rule(F.conv2d)
def _function_conv2d(
    at: At,
    input: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Value:
    return _convolution(weighted(at, weight, bias, groups), input, stride, padding, dilation)


def _convolution(at: At, input: Value, stride: Any, padding: Any, dilation: Any) -> Value:
    layer, image = at.layer, at.image(input)
    require_weight(at, 4)
    window = convolution_window(at, tuple(layer.weight.shape[2:]), stride, padding, dilation)
    image, window = with_border(at, image, window)
    return convolve(at, image, None, plain(layer), window, layer.groups)


@rule(nn.ConvTranspose2d)
def _transposed_conv2d(at: At, input: Value) -> Value:
    layer = at.layer
    _require_zeros(at)
    how = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    return transposed(at, at.image(input), *how)


@rule(F.conv_transpose2d)
def _function_transposed_conv2d(
    at: At,
    input: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: Any = 1,
    dilation: Any = 1,
) -> Value:
    how = stride, padding, output_padding, groups, dilation
    return transposed(weighted(at, weight, bias, groups), at.image(input), *how)


@rule(F.linear, takes="any")
def _function_linear(at: At, input: Tensor, weight: Any, bias: Any = None) -> Tensor:
    return _linear(weighted(at, weight, bias), input)


@rule(nn.Linear, takes="any")
def _linear(at: At, input: Tensor) -> Tensor:
    require_weight(at, 2)
    shape = torch_shape(at.any_tensor(input))
    if len(shape) == 2:
        return convolve(at, at.plain(input), None, plain(at.layer), Window())
    tensor, features = at.with_last(input, [len(shape) - 1])
    wanted = at.layer.weight.shape[1]
    at.require(wanted == features, f"it takes {wanted} features last, but gets a tensor of shape {shape}")
    count = math.prod(shape[1:-1])
    image = at.builder.view(tensor.value, (shape[0], 1, count, features))  # rows are pixels of an image
    found = convolve(at, image, None, plain(at.layer), Window())
    last = len(tensor.axes[-1])
    sizes = (*tensor.sizes[: len(tensor.sizes) - last], found.shape[-1])
    return canonical(Arranged(found, sizes, (*tensor.axes[:-1], (len(sizes) - 1,))).simple())


def _rows(at: At, value: Value) -> Value:
    rank = len(at.tensor(value).shape)
    at.require(rank == 2, "it takes rows of features, but gets images; flatten them first")
    return value


@rule(nn.BatchNorm2d, nn.BatchNorm1d)
def _batch_norm(at: At, input: Value) -> Value:
    layer, value = at.layer, at.tensor(input)
    held = [layer.running_mean, layer.running_var, layer.weight, layer.bias]
    has_statistics = held[0] is not None and held[1] is not None
    at.require(has_statistics, "a batch norm without running statistics is not computed")
    is_image, wants_image = len(value.shape) == 4, isinstance(layer, nn.BatchNorm2d)
    given = "images" if is_image else "rows of features"
    at.require(is_image == wants_image, f"a {type(layer).__name__} does not take {given}")
    found = value.shape[-1]
    for count in (len(tensor) for tensor in held if tensor is not None):
        at.require(count == found, f"it takes {count} channels, but gets {found}")
    return at.emit(
        Affine(value.shape[0], pixels(value), found), [value], value.shape, BatchNorm(layer), layer
    )


@rule(nn.PReLU)
def _prelu(at: At, input: Value) -> Value:
    layer, value = at.layer, at.tensor(input)
    channels, slopes = value.shape[-1], layer.weight.numel()
    at.require(slopes in (1, channels), f"it has {slopes} slopes for {channels} channels")

    def constants() -> Constants:
        with as_it_runs(layer) as own:
            slope = numbers(layer, own.weight)
        return {"slope": np.ascontiguousarray(np.broadcast_to(slope, channels))}

    return at.emit(Prelu(value.shape[0], pixels(value), channels), [value], value.shape, constants, layer)


@rule(plain_layers.ChannelShift)
def _channel_shift(at: At, input: Value) -> Value:
    layer, value = at.layer, at.image(input)
    channels = len(layer.shift)
    at.require(value.shape[-1] == channels, f"it takes {channels} channels, but gets {value.shape[-1]}")

    def constants() -> Constants:
        with as_it_runs(layer) as own:
            shift = numbers(layer, own.shift)
        return {"scale": np.ones_like(shift), "bias": shift}

    return at.emit(Affine(value.shape[0], pixels(value), channels), [value], value.shape, constants, layer)


@rule(plain_layers.OutputScale)
def _output_scale(at: At, input: Value) -> Value:
    layer, value = at.layer, at.image(input)
    n, height, width, channels = value.shape
    fits = (layer.case == 1 and layer.size[0] == channels) or layer.size == (channels, height, width)
    at.require(fits, f"it is made for {layer.size}, but gets {(channels, height, width)}")

    def constants() -> Constants:
        with as_it_runs(layer) as own:
            merged = numbers(layer, own.merged()).transpose(1, 2, 0)
        scale = merged.reshape(channels) if layer.case == 1 else merged.reshape(height * width, channels)
        return {"scale": np.ascontiguousarray(scale), "bias": np.zeros(channels, np.float32)}

    kind = Affine if layer.case == 1 else AffineMap
    return at.emit(kind(n, height * width, channels), [value], value.shape, constants, layer)


@rule(plain_layers.Subsample)
def _subsample(at: At, input: Value) -> Value:
    layer, value = at.layer, at.image(input)
    n, height, width, channels = value.shape
    work = Subsample(n, height, width, channels, layer.stride, layer.added)
    return at.emit(work, [value], (n, work.out_height, work.out_width, channels + layer.added))

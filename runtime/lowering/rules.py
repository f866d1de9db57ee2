"""The rule for each traced step: torch module types, functions and tensor methods -> kernels."""

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from runtime.graph import Constants, Value
from runtime.lowering.builder import GraphBuilder, UnsupportedLayerError
from runtime.lowering.layers import Window, convolve, plain, quantized
from runtime.workload import (
    Add,
    Affine,
    AffineMap,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    GlobalAvgPool,
    MaxPool2d,
    Prelu,
    Relu6,
    ScaleChannels,
    Sigmoid,
    Subsample,
)
from search_spaces import layers, plain_layers

Values = dict[Any, Value]
Rule = Callable[[GraphBuilder, fx.Node, Any, Values], Value]
rules: dict[Any, Rule] = {}
VIEWS = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten)
"""Modules that give what they get, under another name or shape."""


def rule(*keys: Any) -> Callable[[Rule], Rule]:
    """Register a rule for module types, functions, or names of tensor methods."""

    def register(function: Rule) -> Rule:
        rules.update(dict.fromkeys(keys, function))
        return function

    return register


def _name(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _one_number(name: str, option: str, value: Any) -> int:
    """A window's option as one number: both directions must agree."""
    if isinstance(value, str):
        raise UnsupportedLayerError(f"layer '{name}': {option} '{value}' is not computed; give a number")
    numbers = set(value) if isinstance(value, tuple | list) else {value}
    if len(numbers) != 1 or not isinstance(next(iter(numbers)), int):
        raise UnsupportedLayerError(f"layer '{name}': {option} {value} is not the same in both directions")
    return int(numbers.pop())


def _require(name: str, condition: Any, problem: str) -> None:
    if not condition:
        raise UnsupportedLayerError(f"layer '{name}': {problem}")


def _require_image(name: str, value: Value) -> None:
    _require(name, len(value.shape) == 4, "it takes images, but gets rows of features")


def _require_rows(name: str, value: Value) -> Value:
    _require(name, len(value.shape) == 2, "it takes rows of features, but gets images; flatten them first")
    return value


def _require_own_tensor(builder: GraphBuilder, node: fx.Node, in_place: bool) -> None:
    """Refuse to work in place on a tensor that something else reads: it would see the change."""
    if not in_place:
        return

    def is_view(step: fx.Node) -> bool:
        module = builder.modules.get(str(step.target)) if step.op == "call_module" else None
        return isinstance(module, VIEWS) or step.target in (torch.flatten, "flatten", "contiguous")

    root = node.all_input_nodes[0]
    while is_view(root):
        root = root.all_input_nodes[0]
    readers, names = 0, [root]
    for name in names:  # which grows by the other names of the same memory
        names += [user for user in name.users if is_view(user)]
        readers += sum(not is_view(user) for user in name.users)
    _require(_name(node), readers <= 1, "it changes in place what another layer reads")


@rule(layers.QuantConv2d)
def _quant_conv2d(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    _require_image(_name(node), values[node.args[0]])
    window = Window(module.kernel, module.stride, module.padding, module.groups)
    return convolve(builder, _name(node), values[node.args[0]], module.activation, quantized(module), window)


@rule(layers.QuantLinear)
def _quant_linear(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    rows = _require_rows(_name(node), values[node.args[0]])
    return convolve(builder, _name(node), rows, module.activation, quantized(module), Window())


@rule(nn.Conv2d)
def _conv2d(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name = _name(node)
    _require_image(name, values[node.args[0]])
    _require(name, set(module.dilation) == {1}, "dilation is not computed; use dilation 1")
    _require(name, module.padding_mode == "zeros", "only zero padding is computed for float convolutions")
    options = (_one_number(name, o, getattr(module, o)) for o in ("kernel_size", "stride", "padding"))
    kernel, stride, padding = options
    window = Window(kernel, stride, padding, module.groups)
    return convolve(builder, name, values[node.args[0]], None, plain(module), window)


@rule(nn.Linear)
def _linear(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    rows = _require_rows(_name(node), values[node.args[0]])
    return convolve(builder, _name(node), rows, None, plain(module), Window())


@rule(nn.BatchNorm2d, nn.BatchNorm1d)
def _batch_norm(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name, value = _name(node), values[node.args[0]]
    _require(name, module.running_mean is not None, "a batch norm without running statistics is not computed")
    found, channels = value.shape[-1], module.num_features
    _require(name, found == channels, f"it takes {channels} channels, but gets {found}")
    workload = Affine(value.shape[0], math.prod(value.shape[1:-1]), channels)
    return builder.emit(name, workload, [value], value.shape, partial(_affine_constants, module), module)


def _affine_constants(module: Any) -> Constants:
    """Scale and bias of a batch norm at inference, in float64: (C,), (C,)."""
    mean, variance = (t.detach().cpu().double().numpy() for t in (module.running_mean, module.running_var))
    scale = 1 / np.sqrt(variance + module.eps)
    if module.affine:
        scale = scale * module.weight.detach().cpu().double().numpy()
        return {"scale": scale, "bias": module.bias.detach().cpu().double().numpy() - mean * scale}
    return {"scale": scale, "bias": -mean * scale}


@rule(nn.ReLU, torch.relu, nn.functional.relu, "relu")
def _relu(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    _require_own_tensor(builder, node, bool(node.kwargs.get("inplace") or getattr(module, "inplace", False)))
    return builder.relu(_name(node), values[node.args[0]])


@rule(nn.ReLU6, nn.functional.relu6)
def _relu6(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    _require_own_tensor(builder, node, bool(node.kwargs.get("inplace") or getattr(module, "inplace", False)))
    value = values[node.args[0]]
    return builder.emit(_name(node), Relu6(builder.batch, math.prod(value.shape)), [value], value.shape)


@rule(nn.PReLU)
def _prelu(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name, value = _name(node), values[node.args[0]]
    channels, slopes = value.shape[-1], module.weight
    _require(name, len(slopes) in (1, channels), f"it has {len(slopes)} slopes for {channels} channels")

    def constants() -> Constants:
        slope = slopes.detach().cpu().numpy().astype(np.float32)
        return {"slope": np.ascontiguousarray(np.broadcast_to(slope, channels))}

    workload = Prelu(value.shape[0], math.prod(value.shape[1:-1]), channels)
    return builder.emit(name, workload, [value], value.shape, constants, module)


@rule(plain_layers.ChannelShift)
def _channel_shift(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name, value = _name(node), values[node.args[0]]
    _require_image(name, value)
    channels = len(module.shift)
    _require(name, value.shape[-1] == channels, f"it takes {channels} channels, but gets {value.shape[-1]}")

    def constants() -> Constants:
        shift = module.shift.detach().cpu().numpy().astype(np.float32)
        return {"scale": np.ones_like(shift), "bias": shift}

    workload = Affine(value.shape[0], math.prod(value.shape[1:-1]), channels)
    return builder.emit(name, workload, [value], value.shape, constants, module)


@rule(plain_layers.OutputScale)
def _output_scale(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name, value = _name(node), values[node.args[0]]
    _require_image(name, value)
    n, height, width, channels = value.shape
    fits = (module.case == 1 and module.size[0] == channels) or module.size == (channels, height, width)
    _require(name, fits, f"it is made for {module.size}, but gets {(channels, height, width)}")
    pixels = height * width

    def constants() -> Constants:
        merged = module.merged().detach().cpu().numpy().astype(np.float32).transpose(1, 2, 0)
        scale = merged.reshape(channels) if module.case == 1 else merged.reshape(pixels, channels)
        return {"scale": np.ascontiguousarray(scale), "bias": np.zeros(channels, np.float32)}

    workload = (Affine if module.case == 1 else AffineMap)(n, pixels, channels)
    return builder.emit(name, workload, [value], value.shape, constants, module)


@rule(nn.Sigmoid, torch.sigmoid, nn.functional.sigmoid, "sigmoid")
def _sigmoid(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    value = values[node.args[0]]
    return builder.emit(_name(node), Sigmoid(builder.batch, math.prod(value.shape)), [value], value.shape)


@rule(operator.mul, torch.mul, "mul")
def _scale_channels(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name = _name(node)
    _require(name, all(a in values for a in node.args) and len(node.args) == 2, "only tensors are multiplied")
    image, factor = sorted((values[a] for a in node.args), key=lambda v: -math.prod(v.shape))
    _require_image(name, image)
    n, height, width, channels = image.shape
    fits = factor.shape == (n, 1, 1, channels)
    _require(name, fits, f"only a number for each channel multiplies an image, not {factor.shape}")
    return builder.emit(name, ScaleChannels(n, height * width, channels), [image, factor], image.shape)


@rule(plain_layers.Subsample)
def _subsample(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    value = values[node.args[0]]
    _require_image(_name(node), value)
    n, height, width, channels = value.shape
    work = Subsample(n, height, width, channels, module.stride, module.added)
    shape = (n, work.out_height, work.out_width, channels + module.added)
    return builder.emit(_name(node), work, [value], shape)


@rule(nn.Identity, nn.Dropout, nn.Dropout2d, "contiguous")
def _identity(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    return values[node.args[0]]


@rule(nn.Flatten, torch.flatten, "flatten")
def _flatten(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    if module is not None:
        first, last = module.start_dim, module.end_dim
    else:
        given = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
        first, last = given.get("start_dim", 0), given.get("end_dim", -1)
    _require(
        _name(node), first == 1 and last == -1, "only flattening from dimension 1 to the last is computed"
    )
    return builder.rows(_name(node), values[node.args[0]])


@rule(nn.MaxPool2d)
def _max_pool(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    _require(_name(node), module.dilation in (1, (1, 1)), "dilation is not computed; use dilation 1")
    _require(_name(node), not module.return_indices, "indices are not computed; use return_indices=False")
    return _pool(builder, node, module, values[node.args[0]], MaxPool2d)


@rule(nn.AvgPool2d)
def _avg_pool(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    counts_padding = module.padding in (0, (0, 0)) or module.count_include_pad
    _require(_name(node), counts_padding, "only means that count the padding are computed")
    _require(_name(node), module.divisor_override is None, "divisor_override is not computed")
    return _pool(builder, node, module, values[node.args[0]], AvgPool2d)


def _pool(builder: GraphBuilder, node: fx.Node, module: Any, value: Value, kind: Any) -> Value:
    name = _name(node)
    _require_image(name, value)
    _require(name, not module.ceil_mode, "ceil_mode is not computed; use ceil_mode=False")
    options = [_one_number(name, o, getattr(module, o)) for o in ("kernel_size", "stride", "padding")]
    n, height, width, channels = value.shape
    workload = kind(n, height, width, *options, channels)
    _require(name, min(workload.out_height, workload.out_width) > 0, "its window is larger than the image")
    return builder.emit(name, workload, [value], (n, workload.out_height, workload.out_width, channels))


@rule(nn.AdaptiveAvgPool2d)
def _global_pool(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name, value = _name(node), values[node.args[0]]
    _require_image(name, value)
    _require(name, module.output_size in (1, (1, 1)), "only the mean over the whole image is computed")
    n, height, width, channels = value.shape
    return builder.emit(name, GlobalAvgPool(n, height * width, channels), [value], (n, 1, 1, channels))


@rule(operator.add, operator.iadd, torch.add, "add")
def _add(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    _require(
        _name(node), all(a in values for a in node.args) and len(node.args) == 2, "only tensors are added"
    )
    _require(_name(node), node.kwargs.get("alpha", 1) == 1, "only alpha=1 is computed")
    _require_own_tensor(builder, node, node.target is operator.iadd)
    left, right = (values[a] for a in node.args)
    _require(_name(node), left.shape == right.shape, f"shapes {left.shape} and {right.shape} differ")
    return builder.emit(_name(node), Add(left.shape[0], math.prod(left.shape)), [left, right], left.shape)


@rule(torch.cat, torch.concat)
def _concat(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    _require(_name(node), dim == 1, "only concatenation along the channels (dim=1) is computed")
    parts: Any = node.args[0] if node.args else node.kwargs["tensors"]
    is_list = isinstance(parts, list | tuple) and all(part in values for part in parts)
    _require(_name(node), is_list, "only a list of tensors is concatenated")
    inputs = [values[part] for part in parts]
    n, *plane, _ = inputs[0].shape
    agree = all(v.shape[:-1] == inputs[0].shape[:-1] for v in inputs)
    _require(_name(node), agree, "the images to concatenate differ in size")
    channels = tuple(v.shape[-1] for v in inputs)
    workload = Concat(n, math.prod(plane), channels)
    return builder.emit(_name(node), workload, inputs, (n, *plane, sum(channels)))


@rule(plain_layers.ChannelShuffle)
def _channel_shuffle(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    value = values[node.args[0]]
    _require_image(_name(node), value)
    n, height, width, channels = value.shape
    _require(
        _name(node),
        channels % module.groups == 0,
        f"{module.groups} groups do not divide {channels} channels",
    )
    workload = ChannelShuffle(n, height * width, channels, module.groups)
    return builder.emit(_name(node), workload, [value], value.shape)

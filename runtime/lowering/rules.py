"""The rule for each traced step: torch module types, functions and tensor methods -> kernels."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from runtime.graph import Value
from runtime.lowering.builder import GraphBuilder, UnsupportedLayerError
from runtime.lowering.fuse import AFFINE_PRODUCERS
from runtime.lowering.layers import Window, convolve, float_weights, quantized_weights
from runtime.workload import Add, Affine, AvgPool2d, ChannelShuffle, Concat, GlobalAvgPool, MaxPool2d
from search_spaces import layers

Values = dict[Any, Value]
Rule = Callable[[GraphBuilder, fx.Node, Any, Values], Value]
rules: dict[Any, Rule] = {}


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
    numbers = set(value) if isinstance(value, tuple | list) else {value}
    if len(numbers) != 1 or not isinstance(next(iter(numbers)), int):
        raise UnsupportedLayerError(f"layer '{name}': {option} {value} is not the same in both directions")
    return int(numbers.pop())


def _require(name: str, condition: Any, problem: str) -> None:
    if not condition:
        raise UnsupportedLayerError(f"layer '{name}': {problem}")


@rule(layers.QuantConv2d)
def _quant_conv2d(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    window = Window(module.kernel, module.stride, module.padding, module.groups)
    return convolve(
        builder, _name(node), values[node.args[0]], module.activation, quantized_weights(module), window
    )


@rule(layers.QuantLinear)
def _quant_linear(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    rows = builder.rows(_name(node), values[node.args[0]])
    return convolve(builder, _name(node), rows, module.activation, quantized_weights(module), Window())


@rule(nn.Conv2d)
def _conv2d(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name = _name(node)
    _require(name, set(module.dilation) == {1}, "dilation is not computed; use dilation 1")
    _require(name, module.padding_mode == "zeros", "only zero padding is computed for float convolutions")
    options = (_one_number(name, o, getattr(module, o)) for o in ("kernel_size", "stride", "padding"))
    kernel, stride, padding = options
    window = Window(kernel, stride, padding, module.groups)
    return convolve(builder, name, values[node.args[0]], None, float_weights(module), window)


@rule(nn.Linear)
def _linear(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    rows = builder.rows(_name(node), values[node.args[0]])
    return convolve(builder, _name(node), rows, None, float_weights(module), Window())


@rule(nn.BatchNorm2d, nn.BatchNorm1d)
def _batch_norm(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name, value = _name(node), values[node.args[0]]
    _require(name, module.running_mean is not None, "a batch norm without running statistics is not computed")
    scale, bias = _batch_norm_affine(module)
    producer = builder.producer(value)
    read_once = len(node.all_input_nodes[0].users) == 1
    if producer is not None and read_once and isinstance(producer.workload, AFFINE_PRODUCERS):
        constants = producer.constants
        shape = constants["bias"].shape
        a, b = scale.reshape(shape), bias.reshape(shape)
        per_plane = a[:, None] if constants["scale"].ndim == 3 else a
        producer.constants = {
            **constants,
            "scale": (constants["scale"] * per_plane).astype(np.float32),
            "bias": (constants["bias"] * a + b).astype(np.float32),
        }
        return value
    pixels = int(np.prod(value.shape[1:-1]))
    workload = Affine(value.shape[0], pixels, value.shape[-1])
    constants = {"scale": scale.astype(np.float32), "bias": bias.astype(np.float32)}
    return builder.emit(name, workload, [value], value.shape, constants)


def _batch_norm_affine(module: Any) -> tuple[Any, Any]:
    """Scale and bias of a batch norm at inference, in float64: (C,), (C,)."""
    mean, variance = (t.detach().cpu().double().numpy() for t in (module.running_mean, module.running_var))
    scale = 1 / np.sqrt(variance + module.eps)
    if module.affine:
        scale = scale * module.weight.detach().cpu().double().numpy()
        return scale, module.bias.detach().cpu().double().numpy() - mean * scale
    return scale, -mean * scale


@rule(nn.ReLU, torch.relu, nn.functional.relu, "relu")
def _relu(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    return builder.relu(_name(node), values[node.args[0]])


@rule(nn.Identity, nn.Dropout, nn.Dropout2d, "contiguous")
def _identity(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    return values[node.args[0]]


@rule(nn.Flatten, torch.flatten, "flatten")
def _flatten(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    start = module.start_dim if module is not None else (node.args[1:2] or (node.kwargs.get("start_dim"),))[0]
    _require(_name(node), start == 1, "only flattening from dimension 1 is computed")
    return builder.rows(_name(node), values[node.args[0]])


@rule(nn.MaxPool2d)
def _max_pool(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    _require(_name(node), module.dilation == 1, "dilation is not computed; use dilation 1")
    return _pool(builder, node, module, values[node.args[0]], MaxPool2d)


@rule(nn.AvgPool2d)
def _avg_pool(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    counts_padding = module.padding in (0, (0, 0)) or module.count_include_pad
    _require(_name(node), counts_padding, "only means that count the padding are computed")
    _require(_name(node), module.divisor_override is None, "divisor_override is not computed")
    return _pool(builder, node, module, values[node.args[0]], AvgPool2d)


def _pool(builder: GraphBuilder, node: fx.Node, module: Any, value: Value, kind: Any) -> Value:
    name = _name(node)
    _require(name, not module.ceil_mode, "ceil_mode is not computed; use ceil_mode=False")
    options = [_one_number(name, o, getattr(module, o)) for o in ("kernel_size", "stride", "padding")]
    n, height, width, channels = value.shape
    workload = kind(n, height, width, *options, channels)
    _require(name, min(workload.out_height, workload.out_width) > 0, "its window is larger than the image")
    return builder.emit(name, workload, [value], (n, workload.out_height, workload.out_width, channels))


@rule(nn.AdaptiveAvgPool2d)
def _global_pool(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    name, value = _name(node), values[node.args[0]]
    _require(name, module.output_size in (1, (1, 1)), "only the mean over the whole image is computed")
    n, height, width, channels = value.shape
    return builder.emit(name, GlobalAvgPool(n, height * width, channels), [value], (n, 1, 1, channels))


@rule(operator.add, operator.iadd, torch.add, "add")
def _add(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    _require(
        _name(node), all(a in values for a in node.args) and len(node.args) == 2, "only tensors are added"
    )
    left, right = (values[a] for a in node.args)
    _require(_name(node), left.shape == right.shape, f"shapes {left.shape} and {right.shape} differ")
    return builder.emit(_name(node), Add(left.shape[0], int(np.prod(left.shape))), [left, right], left.shape)


@rule(torch.cat, torch.concat)
def _concat(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    _require(_name(node), dim == 1, "only concatenation along the channels (dim=1) is computed")
    parts: Any = node.args[0] if node.args else node.kwargs["tensors"]
    inputs = [values[part] for part in parts]
    n, *plane, _ = inputs[0].shape
    agree = all(v.shape[:-1] == inputs[0].shape[:-1] for v in inputs)
    _require(_name(node), agree, "the images to concatenate differ in size")
    channels = tuple(v.shape[-1] for v in inputs)
    workload = Concat(n, int(np.prod(plane)), channels)
    return builder.emit(_name(node), workload, inputs, (n, *plane, sum(channels)))


@rule(layers.ChannelShuffle)
def _channel_shuffle(builder: GraphBuilder, node: fx.Node, module: Any, values: Values) -> Value:
    value = values[node.args[0]]
    n, height, width, channels = value.shape
    _require(
        _name(node),
        channels % module.groups == 0,
        f"{module.groups} groups do not divide {channels} channels",
    )
    workload = ChannelShuffle(n, height * width, channels, module.groups)
    return builder.emit(_name(node), workload, [value], value.shape)

"""What pruning knows of each kind of layer: what it makes of channels, and how it is made for fewer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plain_layers import ChannelShift, ChannelShuffle, OutputScale, Subsample

CONVOLUTIONS, DENSE = (QuantConv2d, nn.Conv2d), (QuantLinear, nn.Linear)
WEIGHTED = (*CONVOLUTIONS, *DENSE)
NORMS = nn.BatchNorm1d, nn.BatchNorm2d
BY_CHANNEL = (*NORMS, nn.PReLU, ChannelShift, OutputScale)
"""Layers with numbers of their own for each channel, which goes out as it came in."""
WITHOUT_CHANNELS = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh),
    *(nn.SiLU, nn.GELU, nn.ELU, nn.LeakyReLU, nn.Dropout, nn.Dropout2d),
    *(nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
"""Layers that do the same to every channel."""
LEAVES = (*CONVOLUTIONS, *DENSE, *BY_CHANNEL, *WITHOUT_CHANNELS, nn.Flatten, ChannelShuffle, Subsample)
"""The layers that are known here."""


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel is convolved by itself, so that it makes no channels that others do not."""
    return isinstance(layer, CONVOLUTIONS) and layer.groups == layer.in_channels > 1


def makes(layer: nn.Module) -> int | None:
    """How many channels begin at a layer; None for one that only hands on what comes in."""
    if isinstance(layer, CONVOLUTIONS):
        return None if is_depthwise(layer) else int(layer.out_channels)
    if isinstance(layer, DENSE):
        return int(layer.out_features)
    return layer.added if isinstance(layer, Subsample) else None


def refitted(layer: nn.Module, channels: int, width: int | None) -> nn.Module:
    """A layer for so many channels (or features) that come in, and that makes ``width``; itself if it fits.

    One that is made anew has fresh weights. What a layer makes stays where ``width`` is None.

    Raises:
        InvalidInput: its groups do not divide the channels.
    """
    for kinds, make in _MAKERS:
        if isinstance(layer, kinds):
            tensor = next(layer.parameters(), torch.empty(0))
            with torch.device(tensor.device):
                made = make(layer, channels, width)
            return layer if made is layer else made.train(layer.training)
    return layer


def _conv(layer: Any, channels: int, width: int | None) -> nn.Module:
    groups, out = layer.groups, layer.out_channels if width is None else width
    if is_depthwise(layer):
        groups, out = channels, layer.out_channels // layer.in_channels * channels
    if (channels, out) == (layer.in_channels, layer.out_channels):
        return layer  # type: ignore[no-any-return]  # it is a layer of any kind
    for size in (channels, out):
        if size < 1 or size % groups:
            raise InvalidInput("widths", f"{size} channels are no {groups} equal groups", "prune it again")
    shared = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
    bias = layer.bias is not None
    if isinstance(layer, QuantConv2d):
        relu = layer.activation.relu
        options = {**shared, "groups": groups, "relu": relu, "bias": bias}
        return QuantConv2d(channels, out, layer.kernel, layer.precision, **options)
    shared["padding_mode"] = layer.padding_mode
    return nn.Conv2d(channels, out, layer.kernel_size, groups=groups, bias=bias, **shared)


def _dense(layer: Any, features: int, width: int | None) -> nn.Module:
    out, bias = layer.out_features if width is None else width, layer.bias is not None
    if (features, out) == (layer.in_features, layer.out_features):
        return layer  # type: ignore[no-any-return]  # as above
    if isinstance(layer, QuantLinear):
        relu, plane = layer.activation.relu, layer.activation.plane
        return QuantLinear(features, out, layer.precision, relu=relu, bias=bias, plane=plane)
    return nn.Linear(features, out, bias)


def _norm(layer: Any, channels: int, _: int | None) -> nn.Module:
    if channels == layer.num_features:
        return layer  # type: ignore[no-any-return]  # as above
    return type(layer)(  # type: ignore[no-any-return]  # as above
        channels, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
    )


def _prelu(layer: Any, channels: int, _: int | None) -> nn.Module:
    is_shared = layer.num_parameters == 1
    return layer if is_shared or channels == layer.num_parameters else nn.PReLU(channels)


def _shift(layer: Any, channels: int, _: int | None) -> nn.Module:
    return layer if channels == len(layer.shift) else ChannelShift(channels)


def _scale(layer: Any, channels: int, _: int | None) -> nn.Module:
    _, height, width = layer.size
    return layer if channels == layer.size[0] else OutputScale(channels, height, width, layer.case)


def _subsample(layer: Any, _: int, width: int | None) -> nn.Module:
    return layer if width in (None, layer.added) else Subsample(layer.stride, width)


_Make = Callable[[Any, int, int | None], nn.Module]
_MAKERS: tuple[tuple[tuple[type[nn.Module], ...], _Make], ...] = (
    (CONVOLUTIONS, _conv),
    (DENSE, _dense),
    (NORMS, _norm),
    ((nn.PReLU,), _prelu),
    ((ChannelShift,), _shift),
    ((OutputScale,), _scale),
    ((Subsample,), _subsample),
)

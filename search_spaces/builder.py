"""From an architecture to a torch network."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import nn

from search_spaces.architecture import Architecture, Block, Buildable, Head, NamedNetwork, Stem
from search_spaces.block import BlockModule, blocks
from search_spaces.block.base import NORM_MOMENTUM, conv_norm, shared_layers
from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantLinear
from search_spaces.precision import precisions
from search_spaces.registry import Registry

T = TypeVar("T")

WHOLE = "network"
"""The name of a part that is all of a network."""


def build(architecture: Buildable) -> nn.Module:
    """The network, freshly initialized from torch's random generator; (N, C, H, W) -> logits (N, classes).

    Its ``input_shape`` is the architecture's (C, H, W). In training N is at least 2: the head's batch norm
    sees one pixel an image.

    Raises:
        InvalidInput: an unknown block, network or precision, a missing or unknown layer role, or a shape that
            a block cannot have; the message starts with the path of the field.
    """
    network = _whole(architecture)
    network.input_shape = architecture.input_shape  # type: ignore[assignment]  # plain data beside the parts
    return network


def _whole(architecture: Buildable) -> nn.Module:
    network: nn.Module
    if isinstance(architecture, NamedNetwork):
        network = _named_network(architecture)
    else:
        network = nn.Sequential(OrderedDict((part.name, part.build()) for part in _parts(architecture)))
    if architecture.layer_precisions:
        from search_spaces.recoding import recode  # here, as few architectures are changed

        recode(network, architecture)
    if architecture.is_pruned:
        from search_spaces.pruning.fitting import fit

        fit(network, architecture)
    return network


@dataclass(frozen=True)
class Part:
    """One of the modules that a network runs one after the other; equal ones differ in nothing but weights.

    Attributes:
        name: what the network calls it.
        channels: that come in.
        data: what it is.
        classes: of the network.
    """

    name: str = field(compare=False)
    channels: int
    data: Stem | Block | Head | Buildable
    classes: int

    def outline(self) -> nn.Module:
        """A module to look at, whose layers are those of other outlines, too, and hold no weights.

        Raises:
            InvalidInput: as ``build`` says.
        """
        is_changed = isinstance(self.data, Buildable) and self.data.is_changed
        sharing = nullcontext() if is_changed else shared_layers()  # what others share is not changed
        with torch.random.fork_rng(devices=[]), sharing:  # the caller's random numbers stay
            return _hollow(self.build())

    def build(self) -> nn.Module:
        """The module, freshly initialized.

        Raises:
            InvalidInput: as ``build`` says.
        """
        if isinstance(self.data, Buildable):
            return _whole(self.data)
        if isinstance(self.data, Stem):
            return _stem(self.channels, self.data)
        if isinstance(self.data, Head):
            return _head(self.channels, self.classes, self.data)
        return _block(self.channels, self.data, f"architecture.blocks[{self.name.removeprefix('block')}]")


def _hollow(module: nn.Module) -> nn.Module:
    """The module with shapes in place of weights: thousands are kept, and none is computed with."""
    for parameter in module.parameters():
        if parameter.numel() > 1 and any(parameter.stride()):
            parameter.data = parameter.new_zeros(()).expand(parameter.shape)
    return module


def parts(architecture: Buildable) -> Iterator[Part]:
    """Stem, blocks and head of an architecture's network, in order; a published network, or one that was
    pruned or has precisions by layer, is one part."""
    if isinstance(architecture, NamedNetwork) or architecture.is_changed:
        yield Part(WHOLE, architecture.input_shape[0], architecture, architecture.classes)
    else:
        yield from _parts(architecture)


def _parts(architecture: Buildable) -> Iterator[Part]:
    if not isinstance(architecture, Architecture):
        raise TypeError(f"{type(architecture).__name__} has no parts")
    classes, channels = architecture.classes, architecture.stem.width
    yield Part("stem", architecture.input_shape[0], architecture.stem, classes)
    for index, block in enumerate(architecture.blocks):
        yield Part(f"block{index}", channels, block, classes)
        channels = block.width
    yield Part("head", channels, architecture.head, classes)


def _named_network(found: NamedNetwork) -> nn.Module:
    from search_spaces.networks import network  # here, as few architectures need them

    try:
        return network(found.network, found.precision, found.classes, found.classifier, found.input_shape[0])
    except InvalidInput as error:
        raise error.of(f"architecture.{error.parameter}") from error


def _stem(channels: int, stem: Stem) -> nn.Module:
    precision = _named(precisions, stem.precision, "architecture.stem.precision")
    # no ReLU on the image itself
    return conv_norm(channels, stem.width, stem.kernel, precision, stride=stem.stride, relu=False)


def _block(channels: int, block: Block, path: str) -> BlockModule:
    kind = _named(blocks, block.kind, f"{path}.kind")
    _check_roles(kind, block, f"{path}.precisions")
    chosen = {
        role: _named(precisions, name, f"{path}.precisions.{role}") for role, name in block.precisions.items()
    }
    try:
        return kind(channels, block, chosen)
    except InvalidInput as error:
        raise error.of(f"{path}.{error.parameter}") from error


def _head(channels: int, classes: int, head: Head) -> nn.Module:
    precision = _named(precisions, head.precision, "architecture.head.precision")
    # Averages over an image differ little between images, and those of a ReLU are never negative, so that
    # a binary classifier would see +1 everywhere. The norm spreads and centres them; without it a few
    # epochs teach a classifier far less.
    norm = nn.BatchNorm2d(channels, momentum=NORM_MOMENTUM)
    classifier = QuantLinear(channels, classes, precision)
    return nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), norm, nn.Flatten(), classifier)


def _check_roles(kind: type[BlockModule], block: Block, path: str) -> None:
    for role in kind.roles:
        if role not in block.precisions:
            problem = f"missing, but {block.kind} has this layer"
            raise InvalidInput(f"{path}.{role}", problem, f"give a precision for {', '.join(kind.roles)}")
    for role in block.precisions:
        if role not in kind.roles:
            problem = f"{block.kind} has no such layer"
            raise InvalidInput(f"{path}.{role}", problem, f"choose among {', '.join(kind.roles)}")


def _named(registry: Registry[T], name: str, path: str) -> T:
    """The thing called ``name``; the error names the field that holds the name."""
    try:
        return registry.get(name)
    except InvalidInput as error:
        raise error.of(path) from error

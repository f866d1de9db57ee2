"""Follows channels through a network: which channel is which behind every step, by torch.fx."""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from search_spaces.errors import InvalidInput
from search_spaces.plain_layers import ChannelShuffle, Subsample
from search_spaces.pruning.layers import (
    BY_CHANNEL,
    CONVOLUTIONS,
    DENSE,
    LEAVES,
    WITHOUT_CHANNELS,
    is_depthwise,
)

Ids = list[int]
"""The channels of a tensor (N, C, ...) in order, each by its number."""

_JOINS = {"add", "iadd", "add_", "mul", "imul", "mul_", "sub", "isub", "sub_", "truediv", "div", "maximum"}
_SAME = {
    *("relu", "relu_", "relu6", "sigmoid", "tanh", "hardtanh", "hardswish", "hardsigmoid", "silu", "gelu"),
    *("clamp", "contiguous", "dropout", "neg", "abs", "float", "max_pool2d", "avg_pool2d"),
    *("adaptive_avg_pool2d", "adaptive_max_pool2d"),
}
_CATS = {"cat", "concat", "concatenate"}


class Tracer(fx.Tracer):
    """Traces a network with the layers that are known here as its leaves.

    Attributes:
        spans: of each part that is no leaf, by name: the steps that come in and go out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spans: dict[str, tuple[fx.Node, fx.Node]] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """See torch.fx: ours are leaves, and torch's."""
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """See torch.fx; notes where a part begins and ends."""
        found = super().call_module(m, forward, args, kwargs)
        name = self.path_of_module(m)
        if len(args) == 1 and isinstance(args[0], fx.Proxy) and isinstance(found, fx.Proxy):
            self.spans[name] = args[0].node, found.node
        return found


def traced(network: nn.Module) -> tuple[fx.Graph, Tracer]:
    """The steps of a network's forward pass.

    Raises:
        InvalidInput: it cannot be traced.
    """
    tracer = Tracer()
    try:
        return tracer.trace(network), tracer
    except Exception as error:  # whatever its forward pass does with what is no tensor
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        problem = f"its forward pass cannot be traced ({reason})"
        raise InvalidInput(
            "network", problem, "prune one of bitnas's blocks, or of torch's layers"
        ) from error


@dataclass
class Channels(ABC):
    """Where channels come from and what becomes of them; numbers them, and is told what belongs together.

    Attributes:
        into: the channels that come into each layer.
        out: those that go out of it.
        even: channels that are in so many groups, which must stay equally large.
    """

    into: dict[str, Ids] = field(default_factory=dict)
    out: dict[str, Ids] = field(default_factory=dict)
    even: list[tuple[Ids, int]] = field(default_factory=list)

    @abstractmethod
    def make(self, name: str, count: int) -> Ids:
        """The channels that begin at the step called ``name``."""

    @abstractmethod
    def join(self, one: Ids, other: Ids) -> Ids:
        """Of two tensors that are added, or multiplied: what goes out."""

    @abstractmethod
    def keep(self, ids: Ids) -> None:
        """These can never be taken out: what they are used for is not known here, or goes out."""


class Flow(fx.Interpreter):
    """Runs a network, and follows its channels beside the numbers."""

    def __init__(self, network: nn.Module, graph: fx.Graph, channels: Channels) -> None:
        super().__init__(network, garbage_collect_values=False, graph=graph)
        self._channels = channels
        self._ids: dict[fx.Node, Any] = {}

    def follow(self, input_shape: tuple[int, ...]) -> None:
        """Run an image (C, H, W) without content through, in evaluation mode."""
        network: Any = self.module
        was_training = network.training
        image = next(network.parameters()).new_zeros(1, *input_shape)
        try:
            with torch.no_grad():
                network.eval()
                self.run(image)
        finally:
            network.train(was_training)

    def run_node(self, n: fx.Node) -> Any:
        """See torch.fx."""
        value = super().run_node(n)
        self._ids[n] = self._follow(n, value)
        return value

    def _follow(self, n: fx.Node, value: Any) -> Any:
        """The channels of what a step gives; None where it has none, a list of them for several tensors."""
        if n.op == "placeholder":
            return self._unknown(n, value)
        if n.op == "output":
            return self._kept(n)
        if n.op == "get_attr":
            return None
        found = self._by_layer(n, value) if n.op == "call_module" else self._by_function(n, value)
        if isinstance(value, Tensor) and found is not None and len(found) != value.shape[1]:
            found = None
        return self._unknown(n, value) if found is None else found

    def _by_layer(self, n: fx.Node, value: Tensor) -> Ids | None:
        name, layer = str(n.target), self.fetch_attr(str(n.target))
        into = self._ids.get(n.all_input_nodes[0]) if len(n.args) == 1 else None
        if not isinstance(into, list):
            return None
        found = self._through(name, layer, into, value)
        if found is not None:
            self._channels.into[name], self._channels.out[name] = into, found
        return found

    def _through(self, name: str, layer: Any, into: Ids, value: Tensor) -> Ids | None:
        """What goes out of a layer; None for one that is not known here."""
        channels = self._channels
        if isinstance(layer, CONVOLUTIONS):
            if is_depthwise(layer):
                return [one for one in into for _ in range(layer.out_channels // layer.in_channels)]
            out = channels.make(name, layer.out_channels)
            if layer.groups > 1:
                channels.even += [(into, layer.groups), (out, layer.groups)]
            return out
        if isinstance(layer, DENSE):
            return channels.make(name, layer.out_features) if value.dim() == 2 else None
        if isinstance(layer, Subsample):
            return into + channels.make(name, layer.added)
        if isinstance(layer, ChannelShuffle):
            channels.even.append((into, layer.groups))
            return shuffled(into, layer.groups)
        if isinstance(layer, nn.Flatten):
            return flattened(into, value) if (layer.start_dim, layer.end_dim) == (1, -1) else None
        return into if isinstance(layer, (*BY_CHANNEL, *WITHOUT_CHANNELS)) else None

    def _by_function(self, n: fx.Node, value: Any) -> Any:
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "")
        given = [self._ids.get(each) for each in n.all_input_nodes]
        if name in _CATS:
            return self._concatenated(n, given)
        if name in _JOINS and all(isinstance(each, list) for each in given):
            return given[0] if len(given) == 1 else self._joined(n, given)
        if len(given) != 1 or not isinstance(given[0], list):
            return None
        if name in ("chunk", "getitem"):
            return self._part(n, given[0], value)
        if name == "flatten":
            starts = n.kwargs.get("start_dim", n.args[1] if len(n.args) > 1 else 0)
            return flattened(given[0], value) if starts == 1 and value.dim() == 2 else None
        if name == "mean":
            dims = n.kwargs.get("dim", n.args[1] if len(n.args) > 1 else None)
            spatial = isinstance(dims, list | tuple) and {d % 4 for d in dims} == {2, 3}
            return given[0] if spatial else None
        return given[0] if name in _SAME else None

    def _joined(self, n: fx.Node, given: Sequence[Any]) -> Ids | None:
        one, other = given
        same = len(given) == 2 and len(one) == len(other) and len(n.all_input_nodes) == 2
        return self._channels.join(one, other) if same else None

    def _concatenated(self, n: fx.Node, given: Sequence[Any]) -> Ids | None:
        dim = n.kwargs.get("dim", n.args[1] if len(n.args) > 1 else 0)
        parts: Any = n.args[0] if n.args else n.kwargs.get("tensors")
        if dim != 1 or not all(isinstance(each, list) for each in given):
            return None
        return [one for part in parts for one in self._ids[part]]

    def _part(self, n: fx.Node, given: Any, value: Any) -> Any:
        """What a chunk along the channels gives, and what one of them is."""
        if getattr(n.target, "__name__", n.target) == "chunk":
            parts, dim = n.args[1], n.kwargs.get("dim", n.args[2] if len(n.args) > 2 else 0)
            if dim != 1 or not isinstance(parts, int) or len(given) % parts or len(value) != parts:
                return None
            self._channels.even.append((given, parts))
            size = len(given) // parts
            return [given[at : at + size] for at in range(0, len(given), size)]
        index = n.args[1]
        is_part = n.target is operator.getitem and isinstance(index, int)
        part = given[index] if is_part else None
        return part if isinstance(part, list) else None

    def _unknown(self, n: fx.Node, value: Any) -> Ids | None:
        """A step that is not known here: what comes in stays, and so does what goes out."""
        self._kept(n)
        if not isinstance(value, Tensor) or value.dim() < 2:
            return None
        made = self._channels.make(f"?{n.name}", value.shape[1])
        self._channels.keep(made)
        return made

    def _kept(self, n: fx.Node) -> None:
        for each in n.all_input_nodes:
            for ids in _lists(self._ids.get(each)):
                self._channels.keep(ids)


def _lists(found: Any) -> list[Ids]:
    """All lists of channels in what a step gave."""
    if not isinstance(found, list):
        return []
    return (
        [found]
        if all(isinstance(each, int) for each in found)
        else [i for part in found for i in _lists(part)]
    )


def shuffled(ids: Ids, groups: int) -> Ids:
    """As ``ChannelShuffle`` orders them."""
    size = len(ids) // groups
    return [ids[group * size + place] for place in range(size) for group in range(groups)]


def flattened(ids: Ids, value: Tensor) -> Ids | None:
    """The features of images (N, C, H, W) that were flattened, each by its channel."""
    pixels = math.prod(value.shape[1:]) // len(ids)
    return [one for one in ids for _ in range(pixels)]

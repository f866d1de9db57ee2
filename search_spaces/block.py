"""Block kinds: MobileNet's, ShuffleNet's and SqueezeNet's, pre-activation and with a batch norm per layer.

A kind is a class registered in ``blocks`` (entry-point group ``bitnas.blocks``): ``roles`` names the
layers that take a precision, and the constructor takes the input channels, the block's data and a
precision for each role. Forward passes must be traceable by torch.fx, with no control flow on data, and
must not look into layers, at their precisions or shapes: what a pass decides by is an attribute of the block.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from search_spaces.architecture import Block
from search_spaces.errors import InvalidInput
from search_spaces.layers import ChannelShuffle, QuantConv2d
from search_spaces.precision import Precision
from search_spaces.registry import Registry


class BlockModule(nn.Module):
    """A block: (N, in_channels, H, W) -> (N, block.width, H', W'), with H' = ceil(H / stride).

    The output is a batch norm's, without a ReLU: whatever consumes it brings its own activation.
    """

    roles: ClassVar[tuple[str, ...]] = ()

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__()


blocks: Registry[type[BlockModule]] = Registry("block", "blocks")


NORM_MOMENTUM = 0.2
"""Share of the newest batch in the running statistics, which short trainings would else leave behind."""


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    precision: Precision,
    *,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """A convolution with the batch norm that follows every one; the arguments are ``QuantConv2d``'s."""
    options = in_channels, out_channels, kernel, precision, stride, groups, relu
    made = _shared.get()
    if made is None:
        return _conv_norm(*options)
    made[options] += 1
    return _shared_conv_norm(made[options], *options)


def _conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    precision: Precision,
    stride: int,
    groups: int,
    relu: bool,
) -> nn.Sequential:
    conv = QuantConv2d(in_channels, out_channels, kernel, precision, stride=stride, groups=groups, relu=relu)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels, momentum=NORM_MOMENTUM))


_shared: ContextVar[Counter[Hashable] | None] = ContextVar("shared", default=None)


@lru_cache(4096)
def _shared_conv_norm(_nth: int, *options: Any) -> nn.Sequential:
    return _conv_norm(*options)


@contextmanager
def shared_layers() -> Iterator[None]:
    """A module made here shares its layers with others, not with itself: it is to look at, and soon made."""
    token = _shared.set(Counter())
    try:
        yield
    finally:
        _shared.reset(token)


def forget_layers() -> None:
    """Have ``shared_layers`` make its layers anew."""
    _shared_conv_norm.cache_clear()


@blocks.register("separable")
class Separable(BlockModule):
    """MobileNet's depthwise-separable convolution: a depthwise KxK, then a 1x1."""

    roles = ("depthwise", "pointwise")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        self.depthwise = conv_norm(
            in_channels,
            in_channels,
            block.kernel,
            precisions["depthwise"],
            stride=block.stride,
            groups=in_channels,
        )
        self.pointwise = conv_norm(in_channels, block.width, 1, precisions["pointwise"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(x)  # (N, in_channels, H', W')
        y: Tensor = self.pointwise(x)  # (N, width, H', W')
        return y


@blocks.register("shuffle")
class Shuffle(BlockModule):
    """ShuffleNet's unit: grouped 1x1, channel shuffle, depthwise KxK, grouped 1x1, and a shortcut.

    The bottleneck has a quarter of the output channels. Where the block keeps the channels the shortcut
    is added, where it widens them it is concatenated; at a stride the shortcut is a 3x3 average. There is
    no ReLU between the depthwise and the last 1x1 convolution, as in the paper.

    Raises:
        InvalidInput: the block narrows, or ``groups`` does not divide its channels.
    """

    roles = ("reduce", "depthwise", "expand")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        groups, stride = block.groups, block.stride
        self.adds = block.width == in_channels
        branch = block.width if self.adds else block.width - in_channels
        if branch < 1:
            problem = f"{block.width} is below the {in_channels} channels that come in"
            raise InvalidInput("width", problem, "a shuffle block keeps or widens its channels")
        middle = bottleneck(block.width, groups)
        self.reduce = conv_norm(in_channels, middle, 1, precisions["reduce"], groups=groups)
        self.depthwise = conv_norm(
            middle, middle, block.kernel, precisions["depthwise"], stride=stride, groups=middle
        )
        self.expand = conv_norm(middle, branch, 1, precisions["expand"], groups=groups, relu=False)
        self.shuffle = ChannelShuffle(groups) if groups > 1 else nn.Identity()
        self.shortcut = nn.AvgPool2d(3, stride, 1) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.shuffle(self.reduce(x))  # (N, middle, H, W)
        y = self.expand(self.depthwise(y))  # (N, branch, H', W')
        shortcut: Tensor = self.shortcut(x)  # (N, in_channels, H', W')
        return shortcut + y if self.adds else torch.cat([shortcut, y], dim=1)  # (N, width, H', W')


def bottleneck(width: int, groups: int) -> int:
    """A quarter of ``width``, up to the next multiple of ``groups``."""
    return -(-max(width // 4, 1) // groups) * groups


@blocks.register("fire")
class Fire(BlockModule):
    """SqueezeNet's fire module: a 1x1 squeeze, then a 1x1 and a KxK expansion side by side.

    The squeeze has an eighth of the output channels as in SqueezeNet v1.1, but never fewer than 8, as
    fewer carry next to nothing once binary. A stride is a 3x3 max pooling before the squeeze, normed again
    where the squeeze takes signs.
    """

    roles = ("squeeze", "expand1", "expand3")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        if block.width < 2:
            raise InvalidInput("width", f"{block.width} is below 2", "a fire block has two halves")
        squeezed, half = max(8, block.width // 8), block.width // 2
        self.pool = nn.MaxPool2d(3, block.stride, 1) if block.stride > 1 else nn.Identity()
        # a maximum over nine is hardly ever negative: the norm gives a binary squeeze its signs back
        recentres = block.stride > 1 and precisions["squeeze"].activation == "binary"
        self.norm = nn.BatchNorm2d(in_channels, momentum=NORM_MOMENTUM) if recentres else nn.Identity()
        self.squeeze = conv_norm(in_channels, squeezed, 1, precisions["squeeze"])
        self.expand1 = conv_norm(squeezed, half, 1, precisions["expand1"])
        self.expand3 = conv_norm(squeezed, block.width - half, block.kernel, precisions["expand3"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(self.norm(self.pool(x)))  # (N, squeezed, H', W')
        return torch.cat([self.expand1(x), self.expand3(x)], dim=1)  # (N, width, H', W')

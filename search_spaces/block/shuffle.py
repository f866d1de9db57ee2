"""ShuffleNet's unit."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from search_spaces.architecture import Block
from search_spaces.block.base import BlockModule, blocks, conv_norm
from search_spaces.errors import InvalidInput
from search_spaces.plain_layers import ChannelShuffle
from search_spaces.precision import Precision


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

"""SqueezeNet's fire module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from search_spaces.architecture import Block
from search_spaces.block.base import NORM_MOMENTUM, BlockModule, blocks, conv_norm, shortcut
from search_spaces.errors import InvalidInput
from search_spaces.precision import Precision


@blocks.register("fire")
class Fire(BlockModule):
    """SqueezeNet's fire module: a 1x1 squeeze, then a 1x1 and a KxK expansion side by side.

    The squeeze has an eighth of the output channels as in SqueezeNet v1.1, but never fewer than 8, as
    fewer carry next to nothing once binary. A stride is a 3x3 max pooling before the squeeze, normed again
    where the squeeze takes signs. The input is added as ``skip`` (the paper's simple bypass) and ``pool``
    say.
    """

    roles = ("squeeze", "expand1", "expand3")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        if block.width < 2:
            raise InvalidInput("width", f"{block.width} is below 2", "a fire block has two halves")
        squeezed, half = max(8, block.width // 8), block.width // 2
        self.adds, self.shortcut = shortcut(in_channels, block)
        self.pool = nn.MaxPool2d(3, block.stride, 1) if block.stride > 1 else nn.Identity()
        # a maximum over nine is hardly ever negative: the norm gives a binary squeeze its signs back
        recentres = block.stride > 1 and precisions["squeeze"].activation == "binary"
        self.norm = nn.BatchNorm2d(in_channels, momentum=NORM_MOMENTUM) if recentres else nn.Identity()
        self.squeeze = conv_norm(in_channels, squeezed, 1, precisions["squeeze"])
        self.expand1 = conv_norm(squeezed, half, 1, precisions["expand1"])
        self.expand3 = conv_norm(squeezed, block.width - half, block.kernel, precisions["expand3"])

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(self.norm(self.pool(x)))  # (N, squeezed, H', W')
        y = torch.cat([self.expand1(squeezed), self.expand3(squeezed)], dim=1)  # (N, width, H', W')
        return self.shortcut(x) + y if self.adds else y

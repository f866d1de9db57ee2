"""A block, a precision and a space of your own: nas --plugin examples/plugin.py search --space ghost ...

The block is GhostNet's (Han et al., 2020): half of the output comes from a 1x1 convolution, the other half
from a cheap depthwise one of the first half.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from search_spaces import Precision, blocks, precisions, spaces
from search_spaces.architecture import Block
from search_spaces.block import BlockModule
from search_spaces.block.base import conv_norm
from search_spaces.search_space import TINY


@blocks.register("ghost")
class Ghost(BlockModule):
    """(N, in_channels, H, W) -> (N, width, H', W')."""

    roles: ClassVar[tuple[str, ...]] = ("primary", "cheap")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        half = block.width // 2
        self.primary = conv_norm(in_channels, half, 1, precisions["primary"], stride=block.stride)
        self.cheap = conv_norm(half, half, block.kernel, precisions["cheap"], groups=half)

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary(x)  # (N, width / 2, H', W')
        return torch.cat([first, self.cheap(first)], dim=1)


# ternary weights with one scale under bytes: `nas size resnet20 --precision mine` knows it as well
precisions.add("mine", Precision("mine", weight="ternary", activation="int8", scale="analytic"))

spaces.add(
    "ghost",
    replace(
        TINY,
        name="ghost",
        description="8x8 grey images: two stages of ghost or separable blocks",
        kinds=("ghost", "separable"),
        precisions=("float", "int8", "mine"),
    ),
)

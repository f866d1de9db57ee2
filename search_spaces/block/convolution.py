"""Convolutions over all channels: one by itself, and ResNet's two with a shortcut."""

from collections.abc import Mapping

from torch import Tensor, nn

from search_spaces.architecture import Block
from search_spaces.block.base import BlockModule, blocks, conv_norm, keeps_shape, shortcut
from search_spaces.errors import InvalidInput
from search_spaces.plain_layers import Subsample
from search_spaces.precision import Precision


@blocks.register("conv")
class Convolution(BlockModule):
    """A KxK convolution; the input is added as ``skip`` and ``pool`` say."""

    roles = ("conv",)

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        self.adds, self.shortcut = shortcut(in_channels, block)
        precision, stride, groups = precisions["conv"], block.stride, block.groups
        self.conv = conv_norm(in_channels, block.width, block.kernel, precision, stride=stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)  # (N, width, H', W')
        return self.shortcut(x) + y if self.adds else y


@blocks.register("residual")
class Residual(BlockModule):
    """ResNet's two KxK convolutions with a shortcut, which has no parameters (He et al., option A).

    Where the shape changes the shortcut takes every stride-th pixel and adds channels of zeros.

    Raises:
        InvalidInput: the block narrows.
    """

    roles = ("conv1", "conv2")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        added = block.width - in_channels
        if added < 0:
            problem = f"{block.width} is below the {in_channels} channels that come in"
            raise InvalidInput("width", problem, "a residual block keeps or widens its channels")
        self.conv1 = conv_norm(
            in_channels, block.width, block.kernel, precisions["conv1"], stride=block.stride
        )
        self.conv2 = conv_norm(block.width, block.width, block.kernel, precisions["conv2"])
        self.shortcut: nn.Module = nn.Identity()
        if not keeps_shape(in_channels, block):
            self.shortcut = Subsample(block.stride, added)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))  # (N, width, H', W')
        return self.shortcut(x) + y  # type: ignore[no-any-return]  # torch's

"""MobileNet's blocks: the depthwise-separable convolution, and MobileNetV2's inverted residual."""

from collections.abc import Mapping

from torch import Tensor, nn

from search_spaces.architecture import Block
from search_spaces.block.base import BlockModule, blocks, conv_norm, shortcut
from search_spaces.errors import InvalidInput
from search_spaces.networks.parts import SqueezeExcitation
from search_spaces.precision import Precision, precisions


@blocks.register("separable")
class Separable(BlockModule):
    """MobileNet's depthwise-separable convolution: a depthwise KxK, then a 1x1.

    The input is added as ``skip`` and ``pool`` say.
    """

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
        self.adds, self.shortcut = shortcut(in_channels, block)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))  # (N, width, H', W')
        return self.shortcut(x) + y if self.adds else y


@blocks.register("inverted")
class Inverted(BlockModule):
    """MobileNetV2's inverted residual: a 1x1 expansion, a depthwise KxK, a linear 1x1, and a shortcut.

    The input, which comes from such a block or a batch norm, meets no ReLU; with ``squeeze`` above 0 there is
    MnasNet's squeeze-and-excitation behind the depthwise convolution, which squeezes to that share of the
    input's channels, in int8 where the projection is and else in float. The input is added as ``skip`` and
    ``pool`` say.

    Raises:
        InvalidInput: ``expansion`` is below 2: that is a separable block.
    """

    roles = ("expand", "depthwise", "project")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        if block.expansion < 2:
            raise InvalidInput("expansion", f"{block.expansion} is below 2", "choose 2 or more, or separable")
        middle, project = in_channels * block.expansion, precisions["project"]
        self.adds, self.shortcut = shortcut(in_channels, block)
        self.expand = conv_norm(in_channels, middle, 1, precisions["expand"], relu=False)
        self.depthwise = conv_norm(
            middle, middle, block.kernel, precisions["depthwise"], stride=block.stride, groups=middle
        )
        self.attention: nn.Module = nn.Identity()
        if block.squeeze:
            squeezed = max(1, int(in_channels * block.squeeze))
            rectify: nn.Module = nn.Identity() if project.activation == "binary" else nn.ReLU()
            self.attention = nn.Sequential(rectify, SqueezeExcitation(middle, squeezed, _real(project)))
        self.project = conv_norm(middle, block.width, 1, project)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention(self.depthwise(self.expand(x)))  # (N, middle, H', W')
        y = self.project(y)  # (N, width, H', W')
        found: Tensor = self.shortcut(x) + y if self.adds else y
        return found


def _real(precision: Precision) -> Precision:
    """Of a squeeze-and-excitation, which sees one pixel an image."""
    return precision if precision.suits_all_layers else precisions.get("float")

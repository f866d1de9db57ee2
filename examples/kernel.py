"""A layer of your own with a kernel of its own: nas --plugin examples/kernel.py search --space squared ...

The layer is the squared ReLU of Primer (So et al., 2021), with a learned scale for each channel. A workload
names the kernel and all that its code depends on, the kernel computes it, and the lowering says which calls
of kernels a layer is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from runtime.graph import Value
from runtime.kernels import Buffer, kernels
from runtime.kernels.elementwise import ElementwiseKernel
from runtime.lowering.base import Lowering, lowerings
from runtime.lowering.rulebook import At, pixels
from runtime.lowering.tensors import numbers
from runtime.workload import Workload
from search_spaces import Precision, blocks, spaces
from search_spaces.architecture import Block
from search_spaces.block import BlockModule
from search_spaces.block.base import conv_norm
from search_spaces.search_space import TINY


class SquaredRelu(nn.Module):
    """scale[c] * max(x, 0)^2: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x).square() * self.scale.view(-1, 1, 1)


@dataclass(frozen=True)
class SquaredReluWork(Workload):
    """``scale[c] * max(x, 0)^2``."""

    family: ClassVar[str] = "squared_relu"
    pixels: int
    channels: int


class SquaredReluKernel(ElementwiseKernel[SquaredReluWork]):
    """One loop over the numbers, a vector of channels at a time."""

    def buffers(self, workload: SquaredReluWork) -> tuple[Buffer, ...]:
        """Data (N * pixels, C), scale (C,) -> (N * pixels, C)."""
        shape = (workload.batch * workload.pixels, workload.channels)
        return (
            Buffer("data", "input", shape, "float32"),
            Buffer("scale", "constant", shape[1:], "float32"),
            Buffer("output", "output", shape, "float32"),
        )

    def expression(self, workload: SquaredReluWork, args: dict[str, Any]) -> Callable[..., Any]:
        """The square of what is positive, times the channel's scale."""
        from tvm import tirx

        def value(pixel: Any, channel: Any) -> Any:
            positive = tirx.max(args["data"][pixel, channel], tirx.const(0.0, "float32"))
            return positive * positive * args["scale"][channel]

        return value


kernels.add(SquaredReluWork.family, SquaredReluKernel())


class SquaredReluLowering(Lowering):
    """One kernel call, whose constant is the scale."""

    layer = SquaredRelu

    def lower(self, at: At, input: Value) -> Value:
        """Refuses another number of channels, as torch does."""
        image, channels = at.image(input), len(at.layer.scale)
        at.require(image.shape[-1] == channels, f"it takes {channels} channels, but gets {image.shape[-1]}")
        work = SquaredReluWork(image.shape[0], pixels(image), channels)
        scale = at.constants(lambda own: {"scale": numbers(own, own.scale)})
        return at.emit(work, [image], image.shape, scale)


lowerings.add("squared_relu", SquaredReluLowering())


@blocks.register("squared")
class Squared(BlockModule):
    """A convolution, a squared ReLU, a 1x1 convolution: (N, in_channels, H, W) -> (N, width, H', W')."""

    roles: ClassVar[tuple[str, ...]] = ("window", "point")

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__(in_channels, block, precisions)
        width = block.width
        self.window = conv_norm(in_channels, width, block.kernel, precisions["window"], stride=block.stride)
        self.squared = SquaredRelu(width)
        self.point = conv_norm(width, width, 1, precisions["point"], relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.point(self.squared(self.window(x)))


spaces.add(
    "squared",
    replace(
        TINY,
        name="squared",
        description="8x8 grey images: two stages of blocks with a squared ReLU",
        kinds=("squared",),
        precisions=("float", "int8"),
    ),
)

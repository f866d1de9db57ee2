"""The inverted bottleneck of MobileNetV3 and EfficientNet: any activation, and squeeze-and-excitation."""

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.networks.parts import SqueezeExcitation, normed
from search_spaces.plan import Plan


@dataclass(frozen=True)
class MBShape:
    """What one block is.

    Attributes:
        kernel: side of the depthwise convolution's window.
        expanded: channels of the depthwise convolution; as many as come in leave the first 1x1 out.
        channels: that go out.
        squeezed: numbers that squeeze-and-excitation squeezes to; 0 leaves it out.
        stride: of the depthwise convolution.
    """

    kernel: int
    expanded: int
    channels: int
    squeezed: int
    stride: int


class MBConv(nn.Module):
    """A 1x1 expansion, a depthwise KxK, perhaps squeeze-and-excitation, a linear 1x1, perhaps a shortcut.

    (N, in, H, W) -> (N, channels, H', W') with H' = ceil(H / stride). The output is a batch norm's without an
    activation (Howard et al., *Searching for MobileNetV3*, 2019, figure 4); where shape and stride allow it,
    the input is added. With binary inputs there are no activations: a sign behind a ReLU would be +1
    everywhere.

    Args:
        in_channels: that come in.
        shape: of the block.
        plan: of the layers.
        activation: behind the expansion and the depthwise convolution.
        inner: that of squeeze-and-excitation, between its layers.
        gate: that at its end.
    """

    def __init__(
        self,
        in_channels: int,
        shape: MBShape,
        plan: Plan,
        activation: type[nn.Module],
        inner: type[nn.Module] = nn.ReLU,
        gate: type[nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        middle, plain = shape.expanded, plan.undithered
        # a mask of the plan is before the depthwise convolution, but where that subsamples, behind it
        before, behind = (plain, plan) if shape.stride > 1 else (plan, plain)
        expands, is_relu = middle != in_channels, activation is nn.ReLU
        self.adds = shape.stride == 1 and in_channels == shape.channels
        self.expand: nn.Module = nn.Identity()
        if expands:
            expansion = normed(in_channels, middle, 1, plain.pointwise, relu=False)
            self.expand = expansion if is_relu else nn.Sequential(*expansion, active(activation, plan))
        # a ReLU is the next layer's own, which then needs no codes below zero
        precision, stride = before.depthwise, shape.stride
        self.depthwise = normed(
            middle, middle, shape.kernel, precision, stride=stride, groups=middle, relu=expands and is_relu
        )
        is_own = is_relu and not shape.squeezed
        self.activation = nn.Identity() if is_own else active(activation, plan)
        self.attention: nn.Module = nn.Identity()
        if shape.squeezed:
            self.attention = SqueezeExcitation(middle, shape.squeezed, plan.attention, inner, gate)
        self.project = normed(middle, shape.channels, 1, behind.pointwise, relu=is_relu)

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.depthwise(self.expand(x)))  # (N, expanded, H', W')
        z: Tensor = self.project(self.attention(y))  # (N, channels, H', W')
        return x + z if self.adds else z


def active(activation: type[nn.Module], plan: Plan) -> nn.Module:
    """An activation, or none where signs follow."""
    return nn.Identity() if plan.is_binary else activation()

"""Parts that several published networks are made of."""

from torch import Tensor, nn

from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plan import Plan
from search_spaces.precision import Precision


def normed(
    in_channels: int,
    channels: int,
    kernel: int,
    precision: Precision,
    *,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """A convolution with its batch norm; ``relu`` is of its input."""
    conv = QuantConv2d(in_channels, channels, kernel, precision, stride=stride, groups=groups, relu=relu)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def pooled(pool: nn.MaxPool2d, channels: int, plan: Plan) -> list[nn.Module]:
    """A max pooling, and where signs follow, a batch norm: a maximum of nine is hardly ever negative."""
    return [pool, nn.BatchNorm2d(channels)] if plan.is_binary else [pool]


def first_conv(
    channels: int, kernel: int, plan: Plan, *, stride: int = 1, padding: int = 0, bias: bool = False
) -> nn.Module:
    """The convolution that sees the image, of three colours."""
    if plan.first.name == "float":
        return nn.Conv2d(3, channels, kernel, stride, padding, bias=bias)
    return QuantConv2d(3, channels, kernel, plan.first, stride=stride, padding=padding, relu=False, bias=bias)


def stem(channels: int, plan: Plan) -> nn.Sequential:
    """The first convolution, 3x3 at stride 2, and its batch norm; its ReLU is the next layer's."""
    conv = first_conv(channels, 3, plan, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def classifier(features: int, classes: int, plan: Plan) -> nn.Module:
    """The last layer, on means over an image, which hardly change their sign: on signs only if asked for."""
    would_take_signs = plan.classifier.activation == "binary" and not plan.classifies_signs
    if would_take_signs or plan.classifier.name == "float":
        return nn.Linear(features, classes)
    return QuantLinear(features, classes, plan.classifier)


def hidden(features: int, units: int, plan: Plan) -> nn.Module:
    """A dense layer between the means over an image and the classifier; where inputs are signs, in float."""
    if plan.hidden.name == "float":
        return nn.Linear(features, units)
    return QuantLinear(features, units, plan.hidden)


def dropout(share: float, plan: Plan) -> nn.Module:
    """Drops features before the classifier in training; none where it takes signs, which have no zero."""
    return nn.Identity() if plan.classifies_signs else nn.Dropout(share)


class SqueezeExcitation(nn.Module):
    """Each channel times a number in 0..1 that depends on all (Hu et al., *Squeeze-and-Excitation*, 2018).

    (N, C, H, W) -> the same; the mean over the image, two layers with ``squeezed`` numbers between them, and
    a sigmoid tell the number.

    Args:
        channels: C.
        squeezed: how many numbers there are between the two layers.
        precision: of both.
        activation: between them: ReLU, or EfficientNet's SiLU.
        gate: the sigmoid, or MobileNetV3's piecewise linear one (Howard et al., 2019, section 5.3).
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        precision: Precision,
        activation: type[nn.Module] = nn.ReLU,
        gate: type[nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        is_relu = activation is nn.ReLU  # the second layer's own
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = QuantConv2d(channels, squeezed, 1, precision, relu=False, bias=True)
        self.activation = nn.Identity() if is_relu else activation()
        self.excite = QuantConv2d(squeezed, channels, 1, precision, relu=is_relu, bias=True)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.squeeze(self.pool(x)))  # (N, squeezed, 1, 1)
        share: Tensor = self.gate(self.excite(squeezed))  # (N, C, 1, 1)
        return x * share  # (N, C, H, W)


class InvertedResidual(nn.Module):
    """A 1x1 expansion, a depthwise KxK, perhaps squeeze-and-excitation, a linear 1x1, perhaps a shortcut.

    (N, in, H, W) -> (N, channels, H', W') with H' = ceil(H / stride). The output is a batch norm's without a
    ReLU (MobileNetV2, section 3.2); where shape and stride allow it, the input is added.

    Args:
        in_channels: that come in.
        channels: that go out.
        expansion: how many times as many the depthwise convolution has; 1 leaves the first 1x1 out.
        kernel: its side.
        stride: its stride.
        plan: of the layers.
        squeeze_ratio: of the input's channels, what squeeze-and-excitation squeezes to; 0 leaves it out.
        clips: whether ReLUs end at 6.
        skips: whether the input is added at all.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        expansion: int,
        kernel: int,
        stride: int,
        plan: Plan,
        *,
        squeeze_ratio: float = 0.0,
        clips: bool = False,
        skips: bool = True,
    ) -> None:
        super().__init__()
        middle, plain = in_channels * expansion, plan.undithered
        # a mask of the plan is before the depthwise convolution, but where that subsamples, behind it
        before, behind = (plain, plan) if stride > 1 else (plan, plain)
        self.adds = skips and stride == 1 and in_channels == channels
        clip = nn.ReLU6() if clips and not plan.is_binary else nn.Identity()
        self.clip = clip
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = normed(in_channels, middle, 1, plain.pointwise, relu=False)
        self.depthwise = normed(middle, middle, kernel, before.depthwise, stride=stride, groups=middle)
        self.attention: nn.Module = nn.Identity()
        self.has_attention = squeeze_ratio > 0
        if self.has_attention:
            squeezed = max(1, int(in_channels * squeeze_ratio))
            rectify: nn.Module = nn.Identity() if plan.is_binary else nn.ReLU()
            self.attention = nn.Sequential(rectify, SqueezeExcitation(middle, squeezed, plan.attention))
        self.project = normed(middle, channels, 1, behind.pointwise)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.clip(self.expand(x)))  # (N, middle, H', W')
        z: Tensor = self.project(self.attention(self.clip(y)))  # (N, channels, H', W')
        return x + z if self.adds else z

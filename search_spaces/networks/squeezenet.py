"""SqueezeNet v1.0 and v1.1 (Iandola et al., *SqueezeNet*): with batch norms, and as its authors have it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d
from search_spaces.networks.parts import first_conv, normed, pooled
from search_spaces.networks.published import IMAGENET, published
from search_spaces.plan import Plan
from search_spaces.precision import BYTE_CODES, Precision

PAPER = "Iandola et al., SqueezeNet, 2016"
SMALL_IMAGES = ((3, 128, 128), 10)
"""CIFAR-10 at 128x128, as the paper on ternary weights has it."""


MakeConv = Callable[[int, int, int, Precision], nn.Module]
"""Takes input channels, output channels, kernel and precision of a convolution."""


def biased(in_channels: int, channels: int, kernel: int, precision: Precision) -> nn.Module:
    """A convolution with a bias; under the names that one with a batch norm has."""
    return nn.Sequential(QuantConv2d(in_channels, channels, kernel, precision, bias=True))


def takes_biases(plan: Plan) -> bool:
    """Whether all layers compute with nearly real numbers, so that they do without batch norms."""
    codes = (plan.spatial, plan.pointwise)
    return all(c.weight in ("float", "int8") and c.activation in ("float", *BYTE_CODES) for c in codes)


class Fire(nn.Module):
    """A 1x1 squeeze, then a 1x1 and a 3x3 expansion side by side; with a bypass where the channels stay."""

    def __init__(
        self,
        in_channels: int,
        squeezed: int,
        half: int,
        plan: Plan,
        *,
        bypass: bool,
        dithers: bool,
        conv: MakeConv = normed,
    ) -> None:
        super().__init__()
        plain = plan.undithered
        self.bypass = bypass and in_channels == 2 * half
        self.squeeze = conv(in_channels, squeezed, 1, (plan if dithers else plain).pointwise)
        self.expand1 = conv(squeezed, half, 1, plain.pointwise)
        self.expand3 = conv(squeezed, half, 3, plain.spatial)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)  # (N, squeezed, H, W)
        y = torch.cat([self.expand1(squeezed), self.expand3(squeezed)], dim=1)  # (N, 2 half, H, W)
        return x + y if self.bypass else y


class SqueezeNet(nn.Module):
    """A convolution, fire modules with max poolings between, and a 1x1 convolution averaged to classes.

    Masks of a dithered plan are after the first layer, after each pooling, and before the last convolution.

    Args:
        first: output channels of the first convolution, its kernel and its padding.
        fires: squeezed channels of each fire module and half of its output's; None for a pooling.
        plan: of the layers.
        classes: that the images are of.
        bypass: whether fire modules have shortcuts where the channels stay.
        original: whether it is as the authors have it: biases rather than batch norms, poolings of what is
            left at the edges, a bias and a ReLU behind the last convolution. Batch norms stay in plans whose
            layers need them.
    """

    def __init__(
        self,
        first: tuple[int, int, int],
        fires: tuple[tuple[int, int] | None, ...],
        plan: Plan,
        classes: int,
        *,
        bypass: bool = False,
        original: bool = False,
    ) -> None:
        super().__init__()
        channels, kernel, padding = first
        bias = original and takes_biases(plan)
        norm = nn.Identity() if bias else nn.BatchNorm2d(channels)
        make: MakeConv = biased if bias else normed
        layers: list[nn.Module] = [
            first_conv(channels, kernel, plan, stride=2, padding=padding, bias=bias),
            norm,
        ]
        for index, fire in enumerate(fires):
            if fire is None:
                layers += pooled(nn.MaxPool2d(3, 2, ceil_mode=original), channels, plan)
                continue
            dithers = fires[index - 1] is None
            layers.append(Fire(channels, *fire, plan, bypass=bypass, dithers=dithers, conv=make))
            channels = 2 * fire[1]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.0 if plan.is_binary else 0.5)
        self.classifier = QuantConv2d(channels, classes, 1, plan.classifier, bias=original)
        self.relu = nn.ReLU() if original else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.classifier(self.dropout(self.features(x))))  # (N, classes, H, W)
        return self.pool(x).flatten(1)  # type: ignore[no-any-return]  # (N, classes)


FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
FIRES_1_0 = (None, *FIRES[:3], None, *FIRES[3:7], None, FIRES[7])
FIRES_1_1 = (None, *FIRES[:2], None, *FIRES[2:4], None, *FIRES[4:])


@published("squeezenet1.0", IMAGENET, PAPER)
def squeezenet1_0(plan: Plan, classes: int) -> nn.Module:
    """Table 1 of the paper."""
    return SqueezeNet((96, 7, 2), FIRES_1_0, plan, classes)


@published("squeezenet1.0-bypass", IMAGENET, PAPER)
def squeezenet1_0_bypass(plan: Plan, classes: int) -> nn.Module:
    """The same with simple bypasses around fire modules 3, 5, 7 and 9 (section 6)."""
    return SqueezeNet((96, 7, 2), FIRES_1_0, plan, classes, bypass=True)


@published("squeezenet1.0-original", IMAGENET, PAPER)
def squeezenet1_0_original(plan: Plan, classes: int) -> nn.Module:
    """The same as its authors have it, with biases."""
    return SqueezeNet((96, 7, 0), FIRES_1_0, plan, classes, original=True)


@published("squeezenet1.1", SMALL_IMAGES, PAPER)
def squeezenet1_1(plan: Plan, classes: int) -> nn.Module:
    """The authors' second version: a smaller first convolution, and earlier poolings."""
    return SqueezeNet((64, 3, 0), FIRES_1_1, plan, classes)


@published("squeezenet1.1-original", IMAGENET, PAPER)
def squeezenet1_1_original(plan: Plan, classes: int) -> nn.Module:
    """The same as its authors have it, with biases."""
    return SqueezeNet((64, 3, 0), FIRES_1_1, plan, classes, original=True)

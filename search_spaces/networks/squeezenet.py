"""SqueezeNet v1.0 and v1.1 (Iandola et al., *SqueezeNet*), with batch norms in place of biases."""

import torch
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d
from search_spaces.networks.parts import first_conv, normed, pooled
from search_spaces.networks.published import IMAGENET, published
from search_spaces.plan import Plan

PAPER = "Iandola et al., SqueezeNet, 2016"
SMALL_IMAGES = ((3, 128, 128), 10)
"""CIFAR-10 at 128x128, as the paper on ternary weights has it."""


class Fire(nn.Module):
    """A 1x1 squeeze, then a 1x1 and a 3x3 expansion side by side; with a bypass where the channels stay."""

    def __init__(
        self, in_channels: int, squeezed: int, half: int, plan: Plan, *, bypass: bool, dithers: bool
    ) -> None:
        super().__init__()
        plain = plan.undithered
        self.bypass = bypass and in_channels == 2 * half
        self.squeeze = normed(in_channels, squeezed, 1, (plan if dithers else plain).pointwise)
        self.expand1 = normed(squeezed, half, 1, plain.pointwise)
        self.expand3 = normed(squeezed, half, 3, plain.spatial)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)  # (N, squeezed, H, W)
        y = torch.cat([self.expand1(squeezed), self.expand3(squeezed)], dim=1)  # (N, 2 half, H, W)
        return x + y if self.bypass else y


class SqueezeNet(nn.Module):
    """A convolution, fire modules with max poolings between, and a 1x1 convolution averaged to classes.

    Masks of a dithered plan are after the first layer, after each pooling, and before the last convolution.
    """

    def __init__(
        self,
        first: tuple[nn.Module, int],
        fires: tuple[tuple[int, int] | None, ...],
        plan: Plan,
        classes: int,
        *,
        bypass: bool,
    ) -> None:
        super().__init__()
        conv, channels = first
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(channels)]
        for index, fire in enumerate(fires):
            if fire is None:
                layers += pooled(nn.MaxPool2d(3, 2), channels, plan)
                continue
            layers.append(Fire(channels, *fire, plan, bypass=bypass, dithers=fires[index - 1] is None))
            channels = 2 * fire[1]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.0 if plan.is_binary else 0.5)
        self.classifier = QuantConv2d(channels, classes, 1, plan.classifier)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.classifier(self.dropout(self.features(x)))  # (N, classes, H, W)
        return self.pool(x).flatten(1)  # type: ignore[no-any-return]  # (N, classes)


FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def _v1_0(plan: Plan, classes: int, bypass: bool) -> nn.Module:
    first = first_conv(96, 7, plan, stride=2, padding=2), 96
    fires = (None, *FIRES[:3], None, *FIRES[3:7], None, FIRES[7])
    return SqueezeNet(first, fires, plan, classes, bypass=bypass)


@published("squeezenet1.0", IMAGENET, PAPER)
def squeezenet1_0(plan: Plan, classes: int) -> nn.Module:
    """Table 1 of the paper."""
    return _v1_0(plan, classes, bypass=False)


@published("squeezenet1.0-bypass", IMAGENET, PAPER)
def squeezenet1_0_bypass(plan: Plan, classes: int) -> nn.Module:
    """The same with simple bypasses around fire modules 3, 5, 7 and 9 (section 6)."""
    return _v1_0(plan, classes, bypass=True)


@published("squeezenet1.1", SMALL_IMAGES, PAPER)
def squeezenet1_1(plan: Plan, classes: int) -> nn.Module:
    """The authors' second version: a smaller first convolution, and earlier poolings."""
    first = first_conv(64, 3, plan, stride=2), 64
    fires = (None, *FIRES[:2], None, *FIRES[2:4], None, *FIRES[4:])
    return SqueezeNet(first, fires, plan, classes, bypass=False)

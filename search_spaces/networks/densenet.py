"""DenseNets with bottlenecks and compression (Huang et al., 2017): a layer reads what all before it wrote."""

import torch
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d
from search_spaces.networks.parts import classifier, first_conv
from search_spaces.networks.published import CIFAR, published
from search_spaces.plan import Plan

PAPER = "Huang et al., Densely Connected Convolutional Networks, 2017"
BOTTLENECK = 4
"""Channels of a 1x1 convolution, in growth rates (section 3, *Bottleneck layers*)."""


class DenseLayer(nn.Module):
    """Batch norm, 1x1 convolution, batch norm, 3x3 convolution, whose output joins what came in.

    (N, C, H, W) -> (N, C + growth, H, W). Convolutions rectify their inputs, where these are no signs.
    """

    def __init__(self, channels: int, growth: int, plan: Plan) -> None:
        super().__init__()
        middle = BOTTLENECK * growth
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels),
            QuantConv2d(channels, middle, 1, plan.pointwise),
            nn.BatchNorm2d(middle),
            QuantConv2d(middle, growth, 3, plan.spatial),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], dim=1)


class DenseNet(nn.Module):
    """A convolution, three blocks of dense layers, and transitions that halve channels, rows and columns.

    (N, 3, H, W) -> (N, classes). Masks of a dithered plan are in the first dense layer of each block, and in
    the last of all.
    """

    def __init__(self, growth: int, depth: int, blocks: int, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = 2 * growth
        self.stem = first_conv(channels, 3, plan, padding=1)
        layers: list[nn.Module] = []
        for block in range(blocks):
            for index in range(depth):
                is_last = (block, index) == (blocks - 1, depth - 1)
                layers.append(
                    DenseLayer(channels, growth, plan if index == 0 or is_last else plan.undithered)
                )
                channels += growth
            if block + 1 < blocks:
                halving = QuantConv2d(channels, channels // 2, 1, plan.undithered.pointwise)
                layers += [nn.BatchNorm2d(channels), halving, nn.AvgPool2d(2)]
                channels //= 2
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.rectify = nn.Identity() if plan.is_binary else nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(channels, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectify(self.norm(self.layers(self.stem(x))))  # (N, channels, H / 4, W / 4)
        return self.classifier(self.pool(x).flatten(1))  # type: ignore[no-any-return]  # (N, classes)


@published("densenet-bc-100", CIFAR, PAPER)
def densenet_bc_100(plan: Plan, classes: int) -> nn.Module:
    """DenseNet-BC of 100 layers (section 4.2): 3 blocks of 16 layers of two convolutions, growth rate 12."""
    return DenseNet(12, 16, 3, plan, classes)

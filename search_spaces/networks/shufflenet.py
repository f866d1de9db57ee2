"""ShuffleNet 1x with 1 to 8 groups (Zhang et al., *ShuffleNet*, 2018, table 1)."""

from functools import partial

import torch
from torch import Tensor, nn

from search_spaces.networks.parts import classifier, normed, pooled, stem
from search_spaces.networks.published import IMAGENET, published
from search_spaces.plain_layers import ChannelShuffle
from search_spaces.plan import Plan

PAPER = "Zhang et al., ShuffleNet, 2018"
WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Channels of the second stage, by groups; the next two have twice and four times as many."""

REPEATS = (4, 8, 4)


class Unit(nn.Module):
    """Figure 2 (b) and (c): grouped 1x1, shuffle, depthwise 3x3, grouped 1x1, and a shortcut.

    (N, in, H, W) -> (N, channels, H, W), or at stride 2 half the size, the shortcut being a mean that is
    concatenated. The bottleneck has a quarter of the output channels.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, groups: int, plan: Plan, *, first: bool
    ) -> None:
        super().__init__()
        self.adds = stride == 1
        middle, branch = channels // 4, channels if self.adds else channels - in_channels
        # few channels come into the first unit, and no ReLU behind the max pooling's
        outer = 1 if first else groups
        # masks: behind the max pooling, and behind the depthwise convolution
        plain = plan.undithered
        reduce = plan if first else plain
        self.reduce = normed(in_channels, middle, 1, reduce.pointwise, groups=outer)
        self.shuffle = ChannelShuffle(groups) if groups > 1 else nn.Identity()
        self.depthwise = normed(middle, middle, 3, plain.depthwise, stride=stride, groups=middle)
        self.expand = normed(middle, branch, 1, plan.pointwise, groups=groups, relu=False)
        self.shortcut = nn.Identity() if self.adds else nn.AvgPool2d(3, 2, 1)
        self.relu = nn.Identity() if plan.is_binary else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(self.depthwise(self.shuffle(self.reduce(x))))  # (N, branch, H', W')
        shortcut = self.shortcut(x)  # (N, in, H', W')
        y = shortcut + y if self.adds else torch.cat([shortcut, y], dim=1)  # (N, channels, H', W')
        return self.relu(y)  # type: ignore[no-any-return]  # torch's


class ShuffleNet(nn.Module):
    """A convolution, a max pooling, three stages of units, a mean, a dense layer."""

    def __init__(self, groups: int, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = 24
        relu = nn.Identity() if plan.is_binary else nn.ReLU()
        layers: list[nn.Module] = [stem(channels, plan), relu, *pooled(nn.MaxPool2d(3, 2, 1), channels, plan)]
        for stage, repeats in enumerate(REPEATS):
            width = WIDTHS[groups] << stage
            for repeat in range(repeats):
                first, stride = stage == repeat == 0, 2 if repeat == 0 else 1
                is_last = stage == len(REPEATS) - 1 and repeat == repeats - 1
                part = plan if stride == 2 or is_last else plan.undithered
                layers.append(Unit(channels, width, stride, groups, part, first=first))
                channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(channels, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.features(x)).flatten(1)  # (N, channels)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, classes)


for _groups in WIDTHS:
    published(f"shufflenet-g{_groups}", IMAGENET, PAPER)(partial(ShuffleNet, _groups))

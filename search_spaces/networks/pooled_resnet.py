"""Residual networks that pool behind convolutions: few layers see large images, so that they train fast."""

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d
from search_spaces.networks.parts import classifier, first_conv, normed
from search_spaces.networks.published import CIFAR, published
from search_spaces.plan import Plan

PAPER = "ours, after He et al., Identity Mappings in Deep Residual Networks, 2016"


class Residual(nn.Module):
    """x plus two 3x3 convolutions of it; (N, C, H, W) -> the same.

    Nothing is rectified behind the sum (figure 4e): a convolution rectifies its input, where that is no sign.
    """

    def __init__(self, channels: int, plans: tuple[Plan, Plan]) -> None:
        super().__init__()
        self.conv1, self.conv2 = (normed(channels, channels, 3, plan.spatial) for plan in plans)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))  # (N, C, H, W)
        return x + y


class PooledResNet(nn.Module):
    """A stem, and stages of a convolution, a max pooling and residual blocks; (N, 3, H, W) -> (N, classes).

    Masks of a dithered plan are where the paper on them has them: after the first layer, after each pooling,
    and before the last layer that sees more than a pixel.

    Args:
        stem: channels of the first convolution.
        stages: channels and residual blocks of each.
        plan: of the layers.
        classes: of the classifier.
    """

    def __init__(self, stem: int, stages: tuple[tuple[int, int], ...], plan: Plan, classes: int) -> None:
        super().__init__()
        plain = plan.undithered
        self.stem = nn.Sequential(first_conv(stem, 3, plan, padding=1), nn.BatchNorm2d(stem))
        layers: list[nn.Module] = []
        channels = stem
        for number, (width, depth) in enumerate(stages):
            first = plan if number == 0 or stages[number - 1][1] == 0 else plain
            layers += [QuantConv2d(channels, width, 3, first.spatial), nn.MaxPool2d(2), nn.BatchNorm2d(width)]
            for block in range(depth):
                is_last = (number, block) == (len(stages) - 1, depth - 1)
                plans = plan if block == 0 else plain, plan if is_last else plain
                layers.append(Residual(width, plans))
            channels = width
        self.stages = nn.Sequential(*layers)
        self.has_relu = not plan.is_binary
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(channels, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))  # (N, C, H', W')
        x = F.relu(x) if self.has_relu else x
        return self.classifier(self.pool(x).flatten(1))  # type: ignore[no-any-return]  # (N, classes)


@published("pooled-resnet12", CIFAR, PAPER)
def pooled_resnet12(plan: Plan, classes: int) -> nn.Module:
    """16, 32 and 64 channels: with weights of +-1 and all else in float it takes 31.8 kB."""
    return PooledResNet(16, ((32, 2), (64, 2)), plan, classes)

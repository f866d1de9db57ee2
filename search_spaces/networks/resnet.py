"""Residual networks (He et al., *Deep Residual Learning for Image Recognition*), plain and separable."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d, Subsample
from search_spaces.networks.parts import classifier
from search_spaces.networks.published import CIFAR, IMAGENET, published
from search_spaces.plan import Plan

PAPER = "He et al., Deep Residual Learning for Image Recognition, 2016"
DW_PAPER = "Holesovsky and Maki, Compact ConvNets with Ternary Weights and Binary Activations, 2018"

MakeConv = Callable[[int, int, int, Plan], nn.Module]
"""Takes input channels, output channels, stride and plan; ends in a batch norm."""


def plain_conv(in_channels: int, channels: int, stride: int, plan: Plan) -> nn.Module:
    """A 3x3 convolution and its batch norm."""
    conv = QuantConv2d(in_channels, channels, 3, plan.spatial, stride=stride)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def separable_conv(in_channels: int, channels: int, stride: int, plan: Plan) -> nn.Module:
    """A 3x3 depthwise and a 1x1 convolution, a batch norm behind each."""
    depthwise = QuantConv2d(in_channels, in_channels, 3, plan.depthwise, stride=stride, groups=in_channels)
    pointwise = QuantConv2d(in_channels, channels, 1, plan.pointwise)
    return nn.Sequential(depthwise, nn.BatchNorm2d(in_channels), pointwise, nn.BatchNorm2d(channels))


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut (figure 2); (N, in, H, W) -> (N, channels, H / stride, W / stride).

    With binary inputs there are no ReLUs: a sign behind one would be +1 everywhere.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        plans: tuple[Plan, Plan],
        conv: MakeConv,
        shortcut: nn.Module,
    ) -> None:
        super().__init__()
        self.has_relu = not plans[0].is_binary
        self.conv1 = conv(in_channels, channels, stride, plans[0])
        self.conv2 = conv(channels, channels, 1, plans[1])
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x)) + self.shortcut(x)  # (N, channels, H / stride, W / stride)
        return F.relu(y) if self.has_relu else y


def padded_shortcut(in_channels: int, channels: int, stride: int, plan: Plan) -> nn.Module:
    """Every other pixel, and zeros for the new channels: no parameters (option A of section 4.1)."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return Subsample(stride, channels - in_channels)


def projected_shortcut(in_channels: int, channels: int, stride: int, plan: Plan) -> nn.Module:
    """A 1x1 convolution and its batch norm where the shape changes (option B)."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    # what comes in has met its ReLU, or, where inputs are signs, must not meet one
    conv = QuantConv2d(in_channels, channels, 1, plan.shortcut, stride=stride, relu=not plan.is_binary)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


class ResNet(nn.Module):
    """A stem, stages of basic blocks that halve the image and double the channels, and a classifier.

    Masks of a dithered plan are where the paper on them has them: after the first layer, after each
    subsampling, and before the last spatial layer.
    """

    def __init__(
        self,
        stem: nn.Module,
        width: int,
        depths: tuple[int, ...],
        plan: Plan,
        classes: int,
        conv: MakeConv,
        shortcut: MakeConv,
    ) -> None:
        super().__init__()
        self.stem = stem
        blocks: list[nn.Module] = []
        channels = width
        places = [(stage, index) for stage, depth in enumerate(depths) for index in range(depth)]
        for stage, index in places:
            wider = width << stage
            stride = 2 if stage and index == 0 else 1
            follows_change = index == 0 and stage == 0
            first = plan if follows_change else plan.undithered
            second = plan if stride == 2 or (stage, index) == places[-1] else plan.undithered
            blocks.append(
                BasicBlock(
                    channels, wider, stride, (first, second), conv, shortcut(channels, wider, stride, plan)
                )
            )
            channels = wider
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(channels, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.blocks(self.stem(x)))  # (N, channels, 1, 1)
        return self.classifier(x.flatten(1))  # type: ignore[no-any-return]  # (N, classes)


def _cifar_stem() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())


@published("resnet20", CIFAR, PAPER)
def resnet20(plan: Plan, classes: int) -> nn.Module:
    """ResNet-20 (section 4.2): 16, 32 and 64 channels, three blocks each."""
    return ResNet(_cifar_stem(), 16, (3, 3, 3), plan, classes, plain_conv, padded_shortcut)


@published("resnet20-dw", CIFAR, DW_PAPER)
def resnet20_dw(plan: Plan, classes: int) -> nn.Module:
    """ResNet-20 whose convolutions, but for the first, are depthwise-separable."""
    return ResNet(_cifar_stem(), 16, (3, 3, 3), plan, classes, separable_conv, padded_shortcut)


@published("resnet18", IMAGENET, PAPER)
def resnet18(plan: Plan, classes: int) -> nn.Module:
    """ResNet-18 (table 1): 64 to 512 channels, two blocks each."""
    convolution = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
    stem = nn.Sequential(convolution, nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
    return ResNet(stem, 64, (2, 2, 2, 2), plan, classes, plain_conv, projected_shortcut)

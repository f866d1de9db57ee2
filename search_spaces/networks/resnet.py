"""Residual networks (He et al., 2016), plain and separable, and with a shortcut for each convolution."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d
from search_spaces.networks.parts import classifier, first_conv, normed, pooled
from search_spaces.networks.published import CIFAR, IMAGENET, published
from search_spaces.plain_layers import ChannelShift, ShiftedPReLU, Subsample
from search_spaces.plan import Plan

PAPER = "He et al., Deep Residual Learning for Image Recognition, 2016"
BIREAL_PAPER = "Liu et al., Bi-Real Net, 2018"
REACT_PAPER = "Liu et al., ReActNet, 2020"
OURS = "ours, after He et al., Deep Residual Learning for Image Recognition, 2016"
DW_PAPER = "Holesovsky and Maki, Compact ConvNets with Ternary Weights and Binary Activations, 2018"

MakeConv = Callable[[int, int, int, Plan], nn.Module]
"""Takes input channels, output channels, stride and plan; ends in a batch norm."""

MakeBlock = Callable[[int, int, int, tuple[Plan, Plan]], nn.Module]
"""Takes input channels, output channels, stride, and the plans of its two convolutions."""


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
        shortcut: MakeConv,
    ) -> None:
        super().__init__()
        self.has_relu = not plans[0].is_binary
        self.conv1 = conv(in_channels, channels, stride, plans[0])
        self.conv2 = conv(channels, channels, 1, plans[1])
        self.shortcut = shortcut(in_channels, channels, stride, plans[0])

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x)) + self.shortcut(x)  # (N, channels, H / stride, W / stride)
        return F.relu(y) if self.has_relu else y


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution and a shortcut (figure 5).

    (N, in, H, W) -> (N, channels, H / stride, W / stride); the inner ones have a quarter of the channels. The
    stride is the 3x3 convolution's, where the paper has it at the first 1x1: that reads all pixels, and is
    known as ResNet v1.5. With binary inputs there are no ReLUs.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, plans: tuple[Plan, Plan]) -> None:
        super().__init__()
        first, last = plans
        inner, plain = channels // 4, first.undithered
        self.has_relu = not first.is_binary
        self.conv1 = normed(in_channels, inner, 1, first.pointwise)
        self.conv2 = normed(inner, inner, 3, plain.spatial, stride=stride)
        self.conv3 = normed(inner, channels, 1, last.pointwise)
        self.shortcut = projected_shortcut(in_channels, channels, stride, plain)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x)))  # (N, channels, H / stride, W / stride)
        y = y + self.shortcut(x)
        return F.relu(y) if self.has_relu else y


class ShortcutConv(nn.Module):
    """A convolution with a shortcut of its own, which carries real numbers past the signs (Bi-Real Net).

    (N, in, H, W) -> (N, channels, H / stride, W / stride). ``learns`` adds ReActNet's shifts, before the sign
    and around a PReLU behind the sum.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, plan: Plan, learns: bool) -> None:
        super().__init__()
        self.shift = ChannelShift(in_channels) if learns else nn.Identity()
        self.conv = plain_conv(in_channels, channels, stride, plan)
        self.shortcut = averaged_shortcut(in_channels, channels, stride, plan)
        self.bend = ShiftedPReLU(channels) if learns else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.shift(x)) + self.shortcut(x)  # (N, channels, H / stride, W / stride)
        return self.bend(y)  # type: ignore[no-any-return]  # torch's


def shortcut_convs(
    in_channels: int, channels: int, stride: int, plans: tuple[Plan, Plan], learns: bool
) -> nn.Module:
    """Two of them in a row."""
    first = ShortcutConv(in_channels, channels, stride, plans[0], learns)
    return nn.Sequential(first, ShortcutConv(channels, channels, 1, plans[1], learns))


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


def averaged_shortcut(in_channels: int, channels: int, stride: int, plan: Plan) -> nn.Module:
    """Where the shape changes, a 2x2 mean before the projection (Bi-Real Net, section 3.2)."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    conv = QuantConv2d(in_channels, channels, 1, plan.shortcut, relu=not plan.is_binary)
    return nn.Sequential(nn.AvgPool2d(stride, stride), conv, nn.BatchNorm2d(channels))


class ResNet(nn.Module):
    """A stem, stages of blocks that halve the image and double the channels, and a classifier.

    Masks of a dithered plan are where the paper on them has them: after the first layer, after each
    subsampling, and before the last layer that sees more than a pixel. The stem gives ``incoming`` channels,
    which are ``width`` where not given.
    """

    def __init__(
        self,
        stem: nn.Module,
        width: int,
        depths: tuple[int, ...],
        plan: Plan,
        classes: int,
        block: MakeBlock,
        separable: bool = False,
        incoming: int | None = None,
    ) -> None:
        super().__init__()
        self.stem = stem
        blocks: list[nn.Module] = []
        channels = width if incoming is None else incoming
        places = [(stage, index) for stage, depth in enumerate(depths) for index in range(depth)]
        for stage, index in places:
            wider = width << stage
            stride = 2 if stage and index == 0 else 1
            # what subsamples is the first convolution, or, of a separable one, its first half
            inside, behind = (stride == 2 and halves for halves in (separable, not separable))
            first = plan.behind if inside else plan.undithered
            if (stage, index) == (0, 0):
                first = plan.before if separable else plan
            second = plan.behind if (stage, index) == places[-1] or behind else plan.undithered
            blocks.append(block(channels, wider, stride, (first, second)))
            channels = wider
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(channels, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.blocks(self.stem(x)))  # (N, channels, 1, 1)
        return self.classifier(x.flatten(1))  # type: ignore[no-any-return]  # (N, classes)


def _cifar(
    plan: Plan,
    classes: int,
    block: MakeBlock,
    separable: bool = False,
    depths: tuple[int, ...] = (3, 3, 3),
) -> nn.Module:
    """16, 32 and 64 channels, ``depths`` blocks each, for images of 32 pixels."""
    layers = [first_conv(16, 3, plan, padding=1), nn.BatchNorm2d(16), *_relu(plan)]
    return ResNet(nn.Sequential(*layers), 16, depths, plan, classes, block, separable)


def _imagenet(
    plan: Plan,
    classes: int,
    block: MakeBlock,
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: int = 64,
) -> nn.Module:
    """``width`` to 8 times as many channels, ``depths`` blocks each, for images of 224 pixels."""
    layers = [first_conv(64, 7, plan, stride=2, padding=3), nn.BatchNorm2d(64), *_relu(plan)]
    stem = nn.Sequential(*layers, *pooled(nn.MaxPool2d(3, 2, padding=1), 64, plan))
    return ResNet(stem, width, depths, plan, classes, block, incoming=64)


def _relu(plan: Plan) -> list[nn.Module]:
    return [] if plan.is_binary else [nn.ReLU()]


@published("resnet20", CIFAR, PAPER)
def resnet20(plan: Plan, classes: int) -> nn.Module:
    """ResNet-20 (section 4.2)."""
    return _cifar(plan, classes, partial(BasicBlock, conv=plain_conv, shortcut=padded_shortcut))


@published("resnet32", CIFAR, PAPER)
def resnet32(plan: Plan, classes: int) -> nn.Module:
    """ResNet-32 (section 4.2)."""
    block = partial(BasicBlock, conv=plain_conv, shortcut=padded_shortcut)
    return _cifar(plan, classes, block, depths=(5, 5, 5))


@published("resnet18-cifar", CIFAR, OURS)
def resnet18_cifar(plan: Plan, classes: int) -> nn.Module:
    """ResNet-20 without its last block: with weights of +-1 and all else in float it takes 30.6 kB."""
    block = partial(BasicBlock, conv=plain_conv, shortcut=padded_shortcut)
    return _cifar(plan, classes, block, depths=(3, 3, 2))


@published("resnet20-dw", CIFAR, DW_PAPER)
def resnet20_dw(plan: Plan, classes: int) -> nn.Module:
    """ResNet-20 whose convolutions, but for the first, are depthwise-separable."""
    block = partial(BasicBlock, conv=separable_conv, shortcut=padded_shortcut)
    return _cifar(plan, classes, block, separable=True)


@published("resnet20-bireal", CIFAR, BIREAL_PAPER)
def resnet20_bireal(plan: Plan, classes: int) -> nn.Module:
    """ResNet-20 with a shortcut for each convolution."""
    return _cifar(plan, classes, partial(shortcut_convs, learns=False))


@published("resnet20-react", CIFAR, REACT_PAPER)
def resnet20_react(plan: Plan, classes: int) -> nn.Module:
    """The same with learned shifts and PReLUs."""
    return _cifar(plan, classes, partial(shortcut_convs, learns=True))


@published("resnet18", IMAGENET, PAPER)
def resnet18(plan: Plan, classes: int) -> nn.Module:
    """ResNet-18 (table 1)."""
    return _imagenet(plan, classes, partial(BasicBlock, conv=plain_conv, shortcut=projected_shortcut))


@published("resnet50", IMAGENET, PAPER)
def resnet50(plan: Plan, classes: int) -> nn.Module:
    """ResNet-50 (table 1), with its strides at the 3x3 convolutions (v1.5)."""
    return _imagenet(plan, classes, Bottleneck, (3, 4, 6, 3), 256)


@published("bireal18", IMAGENET, BIREAL_PAPER)
def bireal18(plan: Plan, classes: int) -> nn.Module:
    """Bi-Real Net with 18 layers."""
    return _imagenet(plan, classes, partial(shortcut_convs, learns=False))

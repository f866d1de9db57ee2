"""MobileNetV3-Small and -Large (Howard et al., *Searching for MobileNetV3*, 2019)."""

from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from search_spaces.mobile import rounded
from search_spaces.networks.mbconv import MBConv, MBShape, active
from search_spaces.networks.parts import classifier, dropout, hidden, normed, stem
from search_spaces.networks.published import IMAGENET, published
from search_spaces.plan import Plan

PAPER = "Howard et al., Searching for MobileNetV3, 2019"
STEM, DROPOUT = 16, 0.2


class Row(NamedTuple):
    """A block, as a row of the paper's tables 1 and 2 has it."""

    kernel: int
    expanded: int
    channels: int
    squeezes: bool
    activation: type[nn.Module]
    stride: int


RE, HS = nn.ReLU, nn.Hardswish
LARGE = (
    Row(3, 16, 16, False, RE, 1),
    Row(3, 64, 24, False, RE, 2),
    Row(3, 72, 24, False, RE, 1),
    Row(5, 72, 40, True, RE, 2),
    Row(5, 120, 40, True, RE, 1),
    Row(5, 120, 40, True, RE, 1),
    Row(3, 240, 80, False, HS, 2),
    Row(3, 200, 80, False, HS, 1),
    Row(3, 184, 80, False, HS, 1),
    Row(3, 184, 80, False, HS, 1),
    Row(3, 480, 112, True, HS, 1),
    Row(3, 672, 112, True, HS, 1),
    Row(5, 672, 160, True, HS, 2),
    Row(5, 960, 160, True, HS, 1),
    Row(5, 960, 160, True, HS, 1),
)
"""Table 1."""

SMALL = (
    Row(3, 16, 16, True, RE, 2),
    Row(3, 72, 24, False, RE, 2),
    Row(3, 88, 24, False, RE, 1),
    Row(5, 96, 40, True, HS, 2),
    Row(5, 240, 40, True, HS, 1),
    Row(5, 240, 40, True, HS, 1),
    Row(5, 120, 48, True, HS, 1),
    Row(5, 144, 48, True, HS, 1),
    Row(5, 288, 96, True, HS, 2),
    Row(5, 576, 96, True, HS, 1),
    Row(5, 576, 96, True, HS, 1),
)
"""Table 2."""


class MobileNetV3(nn.Module):
    """A convolution, inverted bottlenecks, a 1x1 convolution, a mean, a dense layer, and the classifier.

    Squeeze-and-excitation is to a quarter of the expanded channels and ends in a hard sigmoid (section 5.3);
    between the mean and the classifier is a dense layer with a hard swish (section 5.1, figure 5).
    """

    def __init__(self, rows: tuple[Row, ...], units: int, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = STEM
        layers: list[nn.Module] = [nn.Sequential(*stem(channels, plan), active(HS, plan))]
        for index, row in enumerate(rows):
            part = plan if row.stride == 2 or index == 0 else plan.undithered
            squeezed = rounded(row.expanded // 4) if row.squeezes else 0
            shape = MBShape(row.kernel, row.expanded, row.channels, squeezed, row.stride)
            layers.append(MBConv(channels, shape, part, row.activation, gate=nn.Hardsigmoid))
            channels = row.channels
        last = 6 * channels
        layers.append(nn.Sequential(*normed(channels, last, 1, plan.pointwise, relu=False), active(HS, plan)))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.hidden = hidden(last, units, plan)
        self.activation: nn.Module = nn.Identity() if plan.classifies_signs else HS()
        self.dropout = dropout(DROPOUT, plan)
        self.classifier = classifier(units, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.features(x)).flatten(1)  # (N, 6 channels)
        x = self.dropout(self.activation(self.hidden(x)))  # (N, units)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, classes)


published("mobilenetv3-large", IMAGENET, PAPER)(partial(MobileNetV3, LARGE, 1280))
published("mobilenetv3-small", IMAGENET, PAPER)(partial(MobileNetV3, SMALL, 1024))

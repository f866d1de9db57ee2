"""EfficientNet-B0 (Tan and Le, *EfficientNet*, 2019)."""

from torch import Tensor, nn

from search_spaces.networks.mbconv import MBConv, MBShape, active
from search_spaces.networks.parts import classifier, dropout, normed, stem
from search_spaces.networks.published import IMAGENET, published
from search_spaces.plan import Plan

PAPER = "Tan and Le, EfficientNet, 2019"
STEM, LAST, DROPOUT = 32, 1280, 0.2
STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
"""Expansion, kernel, output channels, repeats and first stride (table 1)."""


class EfficientNet(nn.Module):
    """A convolution, sixteen inverted bottlenecks, a 1x1 convolution, a mean, a dense layer, all with SiLU.

    Squeeze-and-excitation is to a quarter of the channels that come into a block. The paper's training drops
    whole blocks at random (stochastic depth); here nothing does.
    """

    def __init__(self, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = STEM
        layers: list[nn.Module] = [nn.Sequential(*stem(channels, plan), active(nn.SiLU, plan))]
        for expansion, kernel, width, repeats, first_stride in STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                part = plan if stride == 2 or expansion == 1 else plan.undithered
                shape = MBShape(kernel, channels * expansion, width, channels // 4, stride)
                layers.append(MBConv(channels, shape, part, nn.SiLU, nn.SiLU))
                channels = width
        last = normed(channels, LAST, 1, plan.pointwise, relu=False)
        layers.append(nn.Sequential(*last, active(nn.SiLU, plan)))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = dropout(DROPOUT, plan)
        self.classifier = classifier(LAST, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.pool(self.features(x)).flatten(1))  # (N, 1280)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, classes)


@published("efficientnet-b0", IMAGENET, PAPER)
def efficientnet_b0(plan: Plan, classes: int) -> nn.Module:
    """The network that its search found, which the larger ones are scaled from."""
    return EfficientNet(plan, classes)

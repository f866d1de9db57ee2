"""MnasNet-A1 (Tan et al., *MnasNet*, 2019, figure 7)."""

from torch import Tensor, nn

from search_spaces.networks.parts import InvertedResidual, classifier, normed, stem
from search_spaces.networks.published import IMAGENET, published
from search_spaces.plan import Plan

PAPER = "Tan et al., MnasNet, 2019"
STAGES = (
    (1, 3, 0.0, 16, 1, 1),
    (6, 3, 0.0, 24, 2, 2),
    (3, 5, 0.25, 40, 3, 2),
    (6, 3, 0.0, 80, 4, 2),
    (6, 3, 0.25, 112, 2, 1),
    (6, 5, 0.25, 160, 3, 2),
    (6, 3, 0.0, 320, 1, 1),
)
"""Expansion, kernel, squeeze ratio, output channels, repeats and first stride."""


class MnasNet(nn.Module):
    """A convolution, seven stages of inverted residuals, a 1x1 convolution, a mean, a dense layer."""

    def __init__(self, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = 32
        layers: list[nn.Module] = [stem(channels, plan)]
        for expansion, kernel, ratio, width, repeats, first_stride in STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                part = plan if stride == 2 or expansion == 1 else plan.undithered
                layers.append(
                    InvertedResidual(channels, width, expansion, kernel, stride, part, squeeze_ratio=ratio)
                )
                channels = width
        layers.append(normed(channels, 1280, 1, plan.pointwise, relu=False))
        self.features = nn.Sequential(*layers)
        self.relu = nn.Identity() if plan.is_binary else nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(1280, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.features(x))).flatten(1)  # (N, 1280)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, classes)


@published("mnasnet-a1", IMAGENET, PAPER)
def mnasnet_a1(plan: Plan, classes: int) -> nn.Module:
    """The network that the search of the paper found."""
    return MnasNet(plan, classes)

"""MnasNet-A1 and -B1 (Tan et al., *MnasNet*, 2019, figure 7 and table 1)."""

from functools import partial

from torch import Tensor, nn

from search_spaces.mobile import rounded
from search_spaces.networks.parts import InvertedResidual, classifier, normed, stem
from search_spaces.networks.published import IMAGENET, published
from search_spaces.plan import Plan

PAPER = "Tan et al., MnasNet, 2019"
A1 = (
    (1, 3, 0.0, 16, 1, 1),
    (6, 3, 0.0, 24, 2, 2),
    (3, 5, 0.25, 40, 3, 2),
    (6, 3, 0.0, 80, 4, 2),
    (6, 3, 0.25, 112, 2, 1),
    (6, 5, 0.25, 160, 3, 2),
    (6, 3, 0.0, 320, 1, 1),
)
"""Expansion, kernel, squeeze ratio, output channels, repeats and first stride."""

B1 = (
    (1, 3, 0.0, 16, 1, 1),
    (3, 3, 0.0, 24, 3, 2),
    (3, 5, 0.0, 40, 3, 2),
    (6, 5, 0.0, 80, 3, 2),
    (6, 3, 0.0, 96, 2, 1),
    (6, 5, 0.0, 192, 4, 2),
    (6, 3, 0.0, 320, 1, 1),
)
"""The same without squeeze-and-excitation."""

Stages = tuple[tuple[int, int, float, int, int, int], ...]


class MnasNet(nn.Module):
    """A convolution, seven stages of inverted residuals, a 1x1 convolution, a mean, a dense layer.

    ``multiplier`` is of all channels but the last 1280.
    """

    def __init__(self, stages: Stages, multiplier: float, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = rounded(32 * multiplier)
        layers: list[nn.Module] = [stem(channels, plan)]
        for expansion, kernel, ratio, width, repeats, first_stride in stages:
            wider = rounded(width * multiplier)
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                part = plan if stride == 2 or expansion == 1 else plan.undithered
                layers.append(
                    InvertedResidual(channels, wider, expansion, kernel, stride, part, squeeze_ratio=ratio)
                )
                channels = wider
        layers.append(normed(channels, 1280, 1, plan.pointwise, relu=False))
        self.features = nn.Sequential(*layers)
        self.relu = nn.Identity() if plan.is_binary else nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(1280, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.features(x))).flatten(1)  # (N, 1280)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, classes)


for _name, _stages, _multiplier in (("a1", A1, 1.0), ("b1", B1, 1.0), ("b1-0.5", B1, 0.5)):
    published(f"mnasnet-{_name}", IMAGENET, PAPER)(partial(MnasNet, _stages, _multiplier))

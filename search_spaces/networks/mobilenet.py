"""MobileNet (Howard et al., 2017) and MobileNetV2 (Sandler et al., 2018)."""

from functools import partial

from torch import Tensor, nn

from search_spaces.mobile import rounded
from search_spaces.networks.parts import InvertedResidual, classifier, normed, stem
from search_spaces.networks.published import IMAGENET, published
from search_spaces.networks.resnet import separable_conv
from search_spaces.plan import Plan

V1 = "Howard et al., MobileNets, 2017"
V2 = "Sandler et al., MobileNetV2, 2018"
V1_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    *[(512, 1)] * 5, (1024, 2), (1024, 1),
)  # fmt: skip
"""Output channels and stride of each depthwise-separable convolution (table 1)."""

V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, output channels, repeats and first stride (table 2)."""


class MobileNet(nn.Module):
    """A convolution, thirteen depthwise-separable ones, the mean over the image, a dense layer."""

    def __init__(self, multiplier: float, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = int(32 * multiplier)
        layers: list[nn.Module] = [stem(channels, plan)]
        for index, (width, stride) in enumerate(V1_BLOCKS):
            wider = int(width * multiplier)
            is_last = index == len(V1_BLOCKS) - 1
            part = plan.behind if stride == 2 or is_last else plan.before if index == 0 else plan.undithered
            layers.append(separable_conv(channels, wider, stride, part))
            channels = wider
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.relu = nn.Identity() if plan.is_binary else nn.ReLU()
        self.classifier = classifier(channels, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.features(x))).flatten(1)  # (N, channels)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, classes)


class MobileNetV2(nn.Module):
    """A convolution, seventeen inverted residuals, a 1x1 convolution, a mean, a dense layer."""

    def __init__(self, multiplier: float, plan: Plan, classes: int) -> None:
        super().__init__()
        channels = rounded(32 * multiplier)
        layers: list[nn.Module] = [stem(channels, plan)]
        for expansion, width, repeats, first_stride in V2_STAGES:
            for repeat in range(repeats):
                wider, stride = rounded(width * multiplier), first_stride if repeat == 0 else 1
                part = plan if stride == 2 or expansion == 1 else plan.undithered
                layers.append(InvertedResidual(channels, wider, expansion, 3, stride, part, clips=True))
                channels = wider
        last = rounded(1280 * max(1.0, multiplier))
        layers.append(normed(channels, last, 1, plan.pointwise, relu=False))
        self.features = nn.Sequential(*layers)
        self.relu = nn.Identity() if plan.is_binary else nn.ReLU6()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier(last, classes, plan)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.features(x))).flatten(1)  # (N, channels)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, classes)


for _multiplier, _name in ((1.0, "1.0"), (0.75, "0.75"), (0.5, "0.5"), (0.25, "0.25")):
    published(f"mobilenet-{_name}", IMAGENET, V1)(partial(MobileNet, _multiplier))
published("mobilenetv2", IMAGENET, V2)(partial(MobileNetV2, 1.0))

"""The network of BNN for CIFAR-10 (Courbariaux et al., *Binarized Neural Networks*, section 2.3)."""

from torch import Tensor, nn

from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.networks.published import CIFAR, published
from search_spaces.plan import Plan

PAPER = "Courbariaux et al., Binarized Neural Networks, 2016"
DENSE = 1024


class Bcnn(nn.Module):
    """Pairs of 3x3 convolutions, each pair before a 2x2 max pooling, and three dense layers.

    A batch norm follows every layer, the last one, too: it spreads the sums of a thousand signs.
    """

    def __init__(self, widths: tuple[int, ...], dense: int, side: int, plan: Plan, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for index, width in enumerate(widths):
            # masks: after the first layer, after each subsampling; what sees an image last is a dense layer
            is_dithered = index == 1 or index % 2 == 0
            spatial = (plan if is_dithered else plan.undithered).spatial
            precision = plan.first if index == 0 else spatial
            layers.append(QuantConv2d(channels, width, 3, precision, relu=index > 0))
            if index % 2:
                layers.append(nn.MaxPool2d(2, 2))
                side //= 2
            layers.append(nn.BatchNorm2d(width))
            channels = width
        self.features = nn.Sequential(*layers)
        plain = plan.undithered
        self.flatten = nn.Flatten()
        self.dense = nn.Sequential(
            QuantLinear(channels * side**2, dense, plan.spatial, relu=True, bias=False, plane=(side, side)),
            nn.BatchNorm1d(dense),
            QuantLinear(dense, dense, plain.spatial, relu=True, bias=False),
            nn.BatchNorm1d(dense),
            QuantLinear(dense, classes, plain.classifier, relu=True, bias=False),
            nn.BatchNorm1d(classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(self.features(x))  # (N, channels * side * side)
        logits: Tensor = self.dense(x)  # (N, classes)
        return logits


@published("bcnn", CIFAR, PAPER)
def bcnn(plan: Plan, classes: int) -> nn.Module:
    """128-128-256-256-512-512-1024-1024-10."""
    return Bcnn((128, 128, 256, 256, 512, 512), DENSE, 32, plan, classes)


@published("bcnn-half", CIFAR, PAPER)
def bcnn_half(plan: Plan, classes: int) -> nn.Module:
    """The same with half of the channels and features in each layer."""
    return Bcnn((64, 64, 128, 128, 256, 256), DENSE // 2, 32, plan, classes)


@published("bcnn-quarter", CIFAR, PAPER)
def bcnn_quarter(plan: Plan, classes: int) -> nn.Module:
    """The same with a quarter."""
    return Bcnn((32, 32, 64, 64, 128, 128), DENSE // 4, 32, plan, classes)

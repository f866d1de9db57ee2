"""AlexNet (Krizhevsky et al., 2012), in one piece, with batch norms in place of local response norms."""

from torch import Tensor, nn

from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.networks.parts import first_conv, pooled
from search_spaces.networks.published import published
from search_spaces.plan import Plan

PAPER = "Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, 2012"
DENSE = 4096


class AlexNet(nn.Module):
    """Five convolutions, three of them in two groups, with three max poolings, and three dense layers."""

    def __init__(self, plan: Plan, classes: int) -> None:
        super().__init__()
        plain = plan.undithered

        def conv(channels: int, out: int, kernel: int, groups: int, part: Plan) -> list[nn.Module]:
            layer = QuantConv2d(channels, out, kernel, part.spatial, groups=groups)
            return [layer, nn.BatchNorm2d(out)]

        self.features = nn.Sequential(
            first_conv(96, 11, plan, stride=4),
            nn.BatchNorm2d(96),
            *pooled(nn.MaxPool2d(3, 2), 96, plan),
            *conv(96, 256, 5, 2, plan),
            *pooled(nn.MaxPool2d(3, 2), 256, plan),
            *conv(256, 384, 3, 1, plan),
            *conv(384, 384, 3, 2, plain),
            *conv(384, 256, 3, 2, plain),
            *pooled(nn.MaxPool2d(3, 2), 256, plan),
        )
        self.flatten = nn.Flatten()
        self.dense = nn.Sequential(
            nn.Dropout(0.0 if plan.is_binary else 0.5),
            QuantLinear(256 * 6 * 6, DENSE, plan.spatial, relu=True, bias=False, plane=(6, 6)),
            nn.BatchNorm1d(DENSE),
            nn.Dropout(0.0 if plan.is_binary else 0.5),
            QuantLinear(DENSE, DENSE, plain.spatial, relu=True, bias=False),
            nn.BatchNorm1d(DENSE),
            QuantLinear(DENSE, classes, plain.classifier, relu=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.dense(self.flatten(self.features(x)))  # (N, classes)
        return logits


@published("alexnet", ((3, 227, 227), 1000), PAPER)
def alexnet(plan: Plan, classes: int) -> nn.Module:
    """Figure 2 of the paper; its images are of 227 pixels, as its arithmetic needs."""
    return AlexNet(plan, classes)

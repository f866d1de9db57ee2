"""Published networks, by name, each in any precision: the first convolution and the classifier stay float."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d
from search_spaces.precision import Precision, precisions
from search_spaces.registry import Registry

Network = Callable[..., nn.Module]
networks: Registry[Network] = Registry("network", "networks")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., *Deep Residual Learning*, figure 2).

    With binary inputs there are no ReLUs: a sign behind one would be +1 everywhere. A shortcut that changes
    the shape is a float 1x1 convolution, as binary networks keep it real.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, precision: Precision) -> None:
        super().__init__()
        self.has_relu = precision.activation != "binary"
        self.conv1 = QuantConv2d(in_channels, channels, 3, precision, stride=stride)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = QuantConv2d(channels, channels, 3, precision)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            convolution = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x))  # (N, channels, H / stride, W / stride)
        y = self.norm2(self.conv2(y)) + self.shortcut(x)
        return F.relu(y) if self.has_relu else y


class ResNet(nn.Module):
    """A stem, stages of basic blocks that halve the image and double the channels, and a classifier."""

    def __init__(
        self, stem: nn.Module, width: int, depths: tuple[int, ...], precision: str, classes: int
    ) -> None:
        super().__init__()
        self.stem = stem
        blocks: list[nn.Module] = []
        channels = width
        for stage, depth in enumerate(depths):
            wider = width << stage
            for index in range(depth):
                stride = 2 if stage and index == 0 else 1
                blocks.append(BasicBlock(channels, wider, stride, precisions.get(precision)))
                channels = wider
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.blocks(self.stem(x)))  # (N, channels, 1, 1)
        return self.classifier(x.flatten(1))  # type: ignore[no-any-return]  # (N, classes)


@networks.register("resnet20")
def resnet20(precision: str = "float", classes: int = 10) -> nn.Module:
    """ResNet-20 for 3x32x32 images (He et al., section 4.2): 16, 32 and 64 channels, three blocks each."""
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    return ResNet(stem, 16, (3, 3, 3), precision, classes)


@networks.register("resnet18")
def resnet18(precision: str = "float", classes: int = 1000) -> nn.Module:
    """ResNet-18 for 3x224x224 images (He et al., table 1): 64 to 512 channels, two blocks each."""
    convolution = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
    stem = nn.Sequential(convolution, nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
    return ResNet(stem, 64, (2, 2, 2, 2), precision, classes)


def network(name: str, precision: str = "float", classes: int | None = None) -> nn.Module:
    """A published network with random weights; ``classes`` is the paper's number unless given.

    Raises:
        InvalidInput: there is no network or precision of that name.
    """
    precisions.get(precision)
    build = networks.get(name)
    return build(precision) if classes is None else build(precision, classes)

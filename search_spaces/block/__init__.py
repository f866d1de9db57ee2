"""Kinds of blocks: MobileNet's, MobileNetV2's, ShuffleNet's, SqueezeNet's, convolutions, ResNet's."""

from search_spaces.block import convolution, fire, separable, shuffle  # noqa: F401 - each registers its own
from search_spaces.block.base import BlockModule, blocks

__all__ = ["BlockModule", "blocks"]

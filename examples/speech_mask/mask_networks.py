"""The networks: dense layers with a batch norm each, in float or in binary, and the space of them.

A dense layer is a 1x1 convolution of an image of one pixel, whose channels are the features: (N, F, 1, 1).
bitnas's architectures and its compiler take such images, and the kernel is the same.
"""

from collections.abc import Sequence

from mask_features import BINS, feature_count

from search_spaces import Architecture
from search_spaces.architecture import Block, Head, Stem
from search_spaces.search_space import Choose, SearchSpace, number, text

WIDTHS = (256, 384, 513, 768, 1024)
LAYERS = (2, 3)

FIRST = {"float": "float", "binary": "bwn-int8"}
"""The first layer in binary has weights of +-1 with a scale for each neuron; its input is of 8 bit."""

INNER = {"float": "float", "binary": "bnn"}
"""Weights and inputs of +-1 (Hubara et al., 2016); a batch norm follows."""

LAST = {"float": "float", "binary": "binary"}
"""The last layer counts signs; a scale and a bias for each bin make a number of the count."""


def dense_network(channels: int, widths: Sequence[int], codes: Sequence[str]) -> Architecture:
    """Dense layers for what so many microphones hear, and a last one of 513 outputs.

    Args:
        channels: microphones.
        widths: neurons of each layer but the last.
        codes: ``float`` or ``binary`` for each of these, and for the last.
    """
    first, *inner = widths
    stem = Stem(width=first, kernel=1, stride=1, precision=FIRST[codes[0]])
    blocks = [
        Block(kind="conv", width=width, kernel=1, stride=1, precisions={"conv": INNER[code]})
        for width, code in zip(inner, codes[1:-1], strict=True)
    ]
    return Architecture(
        space=space_name(channels),
        input_shape=(feature_count(channels), 1, 1),
        classes=BINS,
        stem=stem,
        blocks=tuple(blocks),
        head=Head(precision=LAST[codes[-1]]),
    )


def space_name(channels: int) -> str:
    """``speech-mask-2``."""
    return f"speech-mask-{channels}"


class MaskSpace(SearchSpace):
    """Two or three dense layers and the last one; codes are chosen for all, neurons for all but the last."""

    classes = BINS

    def __init__(self, channels: int) -> None:
        self.channels, self.name = channels, space_name(channels)
        self.input_shape = (feature_count(channels), 1, 1)
        self.description = f"{channels} microphones: dense layers of 256 to 1024 neurons, float or binary"

    def propose(self, choose: Choose) -> Architecture:
        """Choose for each layer."""
        layers = range(1, number(choose, "layers", LAYERS) + 1)
        widths = [number(choose, f"layer{n}.neurons", WIDTHS) for n in layers]
        codes = [text(choose, f"layer{n}.code", ("float", "binary")) for n in layers]
        codes.append(text(choose, "last.code", ("float", "binary")))
        return dense_network(self.channels, widths, codes)

    def size(self) -> int:
        """All combinations."""
        return sum((2 * len(WIDTHS)) ** layers * 2 for layers in LAYERS)

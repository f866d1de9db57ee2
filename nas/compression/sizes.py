"""What a network takes at a stage: as published before its codes are entropy coded, and by their entropy."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runtime.formats.coding import entropy_bits
from runtime.formats.plain_weights import RAW, SPARSE, Plain
from runtime.formats.tensor_forms import part_of, taken

if TYPE_CHECKING:
    from torch import nn

    from search_spaces import Buildable

REAL_BITS = 32


@dataclass(frozen=True)
class Stored:
    """What a network stores.

    Attributes:
        weights: how many it has, zeros too.
        zeros: of these.
        weight_bits: that they take without entropy coding.
        codes_entropy_bits: that their codes take at least, each coded by its frequency.
        kept_bits: of weights that are stored as they are.
        other_bits: of scales, biases, norms and levels.
    """

    weights: int
    zeros: int
    weight_bits: int
    codes_entropy_bits: float
    kept_bits: int
    other_bits: int


def stored(module: "nn.Module", architecture: "Buildable") -> Stored:
    """What a trained network stores."""
    content = taken(module, architecture, "float32")
    own = content.weights
    return Stored(
        weights=sum(math.prod(each.shape) for each in own),
        zeros=sum(int((each.weights() == 0).sum()) for each in own),
        weight_bits=sum(map(uncoded_bits, own)),
        codes_entropy_bits=sum(entropy_bits(each.symbols) for each in own),
        kept_bits=REAL_BITS * sum(len(each.kept) for each in own),
        other_bits=REAL_BITS * len(content.reals),
    )


def uncoded_bits(weights: Plain) -> int:
    """Bits of a layer's weights, each in as many; sparse ones with the gaps before them, if that is less.

    Deep Compression, section 2 and figure 2: gaps of 8 bits in convolutions and 5 in dense layers, with a
    zero stored where a gap is longer.
    """
    total = math.prod(weights.shape)
    if weights.form == RAW:
        return REAL_BITS * total
    each = REAL_BITS if weights.form == SPARSE else _bits(weights.kinds)
    if weights.zero is None:
        return total * each
    gap_bits = part_of(weights).gap_bits
    held = np.flatnonzero(weights.symbols != weights.zero)
    breaks = int(((np.diff(held, prepend=-1) - 1) >> gap_bits).sum())
    own = each if weights.form == SPARSE else _bits(weights.kinds - 1)
    return min((len(held) + breaks) * (own + gap_bits), total * each)


def _bits(kinds: int) -> int:
    """That tell so many apart."""
    return max(1, (kinds - 1).bit_length())

"""How much a network's parameters take, from its shapes and precisions alone."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.builder import build
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.precision import BITS

FLOAT_BITS = 32


@dataclass(frozen=True)
class Size:
    """What a network stores to predict.

    Attributes:
        bits_by_code: bits of the layers' weights, by weight code; codes that do not occur are absent.
        other_bits: bits of every other parameter that prediction needs, 32 each: the weights' and the int8
            activations' scales, biases, and one scale and one bias per batch-norm channel, as its
            four tensors fold into two.
    """

    bits_by_code: dict[str, int]
    other_bits: int

    @property
    def weight_bytes(self) -> float:
        """Bytes of the weights alone, the figure that papers on low-bit networks state."""
        return sum(self.bits_by_code.values()) / 8

    @property
    def parameter_bytes(self) -> float:
        """Bytes of everything that is stored."""
        return self.weight_bytes + self.other_bits / 8

    @property
    def kilobytes(self) -> float:
        """``parameter_bytes`` in kB of 1000 bytes."""
        return self.parameter_bytes / 1000


def size(network: Architecture | nn.Module) -> Size:
    """The size of a network or of what an architecture builds; nothing is trained or initialized.

    Raises:
        InvalidInput: the architecture does not build.
    """
    if isinstance(network, Architecture):
        with torch.device("meta"):  # shapes without memory, and without drawing random numbers
            network = build(network)
    weights: Counter[str] = Counter()
    others = 0
    for module in network.modules():
        if isinstance(module, QuantConv2d | QuantLinear):
            weights[module.precision.weight] += module.weight.numel() * BITS[module.precision.weight]
            others += _parameters(module) - module.weight.numel() + _int8_scales(module)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            others += 2 * module.num_features
        elif isinstance(module, nn.Conv2d | nn.Linear):
            weights["float"] += module.weight.numel() * FLOAT_BITS
            others += _parameters(module) - module.weight.numel()
        else:
            others += _parameters(module)
    return Size(dict(weights), others * FLOAT_BITS)


def _parameters(module: nn.Module) -> int:
    """Numbers in the module's own parameters, its children's not counted."""
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _int8_scales(layer: QuantConv2d | QuantLinear) -> int:
    """The scales that int8 codes need and that are not learned: one per output channel, one for the input."""
    weight = len(layer.weight) if layer.precision.weight == "int8" else 0
    return weight + int(layer.precision.activation == "int8")

"""How much a network's parameters take and what it computes, from its shapes and precisions alone."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from search_spaces.architecture import Buildable
from search_spaces.builder import build
from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.outputs import outputs
from search_spaces.plain_layers import OutputScale
from search_spaces.precision import BYTE_CODES

FLOAT_BITS = 32


@dataclass(frozen=True)
class Size:
    """What a network stores to predict.

    Attributes:
        bits_by_code: bits of the layers' weights, by weight code; codes that do not occur are absent.
        other_bits: bits of every other parameter that prediction needs, 32 each: the weights' scales, the
            int8 activations' scales and zero points, biases, and one scale and one bias per batch-norm
            channel, as its four tensors fold into two.
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


def size(network: Buildable | nn.Module) -> Size:
    """The size of a network or of what an architecture builds; nothing is trained.

    Raises:
        InvalidInput: the architecture does not build.
    """
    if isinstance(network, Buildable):
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay
            network = build(network)
    weights: Counter[str] = Counter()
    others = 0
    for found in stored(network):
        if found.code:
            weights[found.code] += found.weight_bits
        others += found.other_bits
    return Size(dict(weights), others)


class Stored(NamedTuple):
    """What one module stores, its children's not counted.

    Attributes:
        name: what the network calls it.
        code: of its weights; empty where it has none.
        weight_bits: that they take.
        other_bits: that all else takes that prediction needs of it, as ``Size`` says.
    """

    name: str
    code: str
    weight_bits: int
    other_bits: int


def stored(network: nn.Module) -> list[Stored]:
    """What each module of a network stores, where it stores anything; together it is the ``size``."""
    found = (Stored(name, *_stored(module)) for name, module in network.named_modules())
    return [each for each in found if each.weight_bits or each.other_bits]


def _stored(module: Any) -> tuple[str, int, int]:
    """The code of a module's weights, their bits, and those of all else."""
    if isinstance(module, QuantConv2d | QuantLinear):
        others = _parameters(module) - module.weight.numel() + _unlearned_scales(module)
        bits = module.weight.numel() * module.precision.weight_bits
        return module.precision.weight, bits, others * FLOAT_BITS
    if isinstance(module, nn.Conv2d | nn.Linear):
        others = _parameters(module) - module.weight.numel()
        return "float", module.weight.numel() * FLOAT_BITS, others * FLOAT_BITS
    if isinstance(module, OutputScale):
        numbers = module.merged().numel() - sum(factor.numel() for factor in module.factors)
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        numbers = 2 * module.num_features
    else:
        numbers = _parameters(module)
    return "", 0, numbers * FLOAT_BITS


def _parameters(module: nn.Module) -> int:
    """Numbers in the module's own parameters, its children's not counted."""
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _unlearned_scales(layer: QuantConv2d | QuantLinear) -> int:
    """Scales and zero points that codes need and that are no parameters: int8's, analytic and fitted ones."""
    weight, inputs = layer.weight_code.computed_scales(len(layer.weight)), layer.activation
    if inputs.has_basis:
        return weight + (0 if inputs.is_fixed else len(inputs.basis))
    return weight + int(layer.precision.activation in BYTE_CODES) + int(inputs.is_affine)


@dataclass(frozen=True)
class LayerSize:
    """One layer with weights.

    Attributes:
        name: where the network has it.
        kind: ``conv 3x3``, ``depthwise 3x3``, ``dense``.
        weight: the code of its weights.
        activation: the code of its inputs.
        weights: how many.
        bits: that they take.
        macs: multiply-accumulates for one image.
    """

    name: str
    kind: str
    weight: str
    activation: str
    weights: int
    bits: int
    macs: int


def layers(module: nn.Module, input_shape: tuple[int, ...]) -> list[LayerSize]:
    """The layers with weights in the order in which an image (C, H, W) meets them; nothing is trained.

    Raises:
        InvalidInput: the network does not take images of this shape.
    """
    kinds = (QuantConv2d, QuantLinear, nn.Conv2d, nn.Linear)
    try:
        return [_layer_size(*seen) for seen in outputs(module, input_shape, kinds)]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        problem = f"images of shape {input_shape} do not fit the network ({reason})"
        raise InvalidInput("input_shape", problem, "give the shape that it is made for") from error


def _layer_size(name: str, layer: Any, output: tuple[int, ...]) -> LayerSize:
    weights, precision = layer.weight.numel(), getattr(layer, "precision", None)
    code, bits = ("float", FLOAT_BITS) if precision is None else (precision.weight, precision.weight_bits)
    activation = "float" if precision is None else layer.activation.code
    pixels = math.prod(output[1:])  # of one channel, or one for a dense layer
    if layer.weight.dim() == 2:
        return LayerSize(name, "dense", code, activation, weights, weights * bits, weights)
    side = f"{layer.weight.shape[2]}x{layer.weight.shape[3]}"
    is_depthwise = layer.groups == layer.weight.shape[0] > 1
    kind = f"{'depthwise' if is_depthwise else 'conv'} {side}"
    return LayerSize(name, kind, code, activation, weights, weights * bits, weights * pixels)

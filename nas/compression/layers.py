"""Which layers of a network can lose weights, and which can share them."""

from typing import Any

from torch import nn

from search_spaces.layers import QuantConv2d, QuantLinear


def layers(module: nn.Module) -> dict[str, Any]:
    """All layers with weights, by name."""
    kinds = (QuantConv2d, QuantLinear, nn.Conv2d, nn.Linear)
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, kinds)}


def prunable(module: nn.Module) -> dict[str, Any]:
    """Those in whose code a weight can be zero: all but signs and DoReFa's odd numbers."""
    return {
        name: layer for name, layer in layers(module).items() if _values(layer) is None or 0 in _values(layer)
    }


def shareable(module: nn.Module) -> dict[str, Any]:
    """Those with real weights; what has a code of few bits shares its values anyway."""
    return {name: layer for name, layer in layers(module).items() if _values(layer) is None}


def _values(layer: Any) -> Any:
    """The whole numbers that weights are stored as; None where they are real."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return None
    return layer.weight_code.code_set(layer.activation.inputs).values

"""How kernels take weights, one module a layout; importing this package registers them all."""

from runtime.kernels.weight_layouts import basis, binary, dorefa8, float32, int8, ternary
from runtime.kernels.weight_layouts.base import (
    LayerWeights,
    Lookup,
    WeightLayout,
    layout_for,
    planes_of,
    quads_of,
    taps_of,
    weight_layouts,
)

__all__ = [
    "LayerWeights",
    "Lookup",
    "WeightLayout",
    "basis",
    "binary",
    "dorefa8",
    "float32",
    "int8",
    "layout_for",
    "planes_of",
    "quads_of",
    "taps_of",
    "ternary",
    "weight_layouts",
]

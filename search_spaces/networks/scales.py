"""XNOR-Net++'s learned scales behind the binary convolutions of a network, in the shape that is wanted."""

from typing import Any

from torch import nn

from search_spaces.layers import QuantConv2d
from search_spaces.outputs import outputs
from search_spaces.plain_layers import OutputScale


def add_scales(module: nn.Module, input_shape: tuple[int, int, int], case: int) -> None:
    """Put an ``OutputScale`` behind each convolution of +-1 by +-1, for images (C, H, W) of one size.

    A batch norm that follows such a convolution is behind the scale (Bulat and Tzimiropoulos, equation 3).
    All other modules keep their names, so that weights of the same network fit.
    """
    for name, layer, (channels, height, width) in outputs(module, input_shape, (QuantConv2d,)):
        precision: Any = layer.precision
        if (precision.activation, precision.scale) != ("binary", "none"):
            continue
        parent, _, attribute = name.rpartition(".")
        scale = OutputScale(channels, height, width, case)
        _insert_behind(module.get_submodule(parent), attribute, scale)


def _insert_behind(parent: nn.Module, name: str, scale: OutputScale) -> None:
    """Put a scale behind the child called ``name``, as ``NAME_scale``."""
    if not isinstance(parent, nn.Sequential):
        raise TypeError(f"{type(parent).__name__}: its convolution '{name}' stands alone, not in a sequence")
    children = list(parent.named_children())
    for child, _ in children:
        delattr(parent, child)
    for child, part in children:
        parent.add_module(child, part)
        if child == name:
            parent.add_module(f"{name}_scale", scale)

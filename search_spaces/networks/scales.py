"""XNOR-Net++'s learned scales behind the binary convolutions of a network, in the shape that is wanted."""

from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.layers import OutputScale, QuantConv2d


def add_scales(module: nn.Module, input_shape: tuple[int, int, int], case: int) -> None:
    """Put an ``OutputScale`` behind each convolution of +-1 by +-1, for images (C, H, W) of one size.

    A batch norm that follows such a convolution is behind the scale (Bulat and Tzimiropoulos, equation 3).
    """
    shapes = _output_shapes(module, input_shape)
    for name, (channels, height, width) in shapes.items():
        parent, _, attribute = name.rpartition(".")
        scaled = nn.Sequential(module.get_submodule(name), OutputScale(channels, height, width, case))
        setattr(module.get_submodule(parent), attribute, scaled)


def _output_shapes(module: nn.Module, input_shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    """(C, H, W) of what each unscaled binary convolution gives, by its name."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        def hook(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            found[name] = tuple(output.shape[1:])

        return hook

    hooks = [
        layer.register_forward_hook(note(name))
        for name, layer in module.named_modules()
        if isinstance(layer, QuantConv2d) and layer.precision.name == "bnn"
    ]
    was_training = module.training
    device = next(parameter.device for parameter in module.parameters())
    with torch.inference_mode():
        module.eval()(torch.zeros(1, *input_shape, device=device))
    module.train(was_training)
    for each in hooks:
        each.remove()
    return found

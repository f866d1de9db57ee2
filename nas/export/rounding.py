"""How far torch agrees with itself: the same network with other rounding errors.

A value at the edge of a step or a sign may fall to either side, and a network that has hardly learned makes
much of that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

ROUNDING = 1e-6
"""A rounding error of a layer's sums, as a share of a value."""


@contextmanager
def rounded_otherwise(module: "nn.Module", generator: "torch.Generator") -> Iterator[None]:
    """Let the sums of each layer be off by a random rounding error, while it lasts."""
    import torch
    from torch import nn

    from search_spaces.layers import QuantConv2d, QuantLinear

    def off(_: nn.Module, __: Any, y: "torch.Tensor") -> "torch.Tensor":
        noise = torch.randn(y.shape, generator=generator, dtype=y.dtype).to(y.device)
        return y * (1 + ROUNDING * noise)

    kinds = (QuantConv2d, QuantLinear, nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    layers = [m for m in module.modules() if isinstance(m, kinds)]
    hooks = [layer.register_forward_hook(off) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

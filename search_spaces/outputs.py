"""What the layers of a network give for images of one shape, seen in one pass; nothing is trained."""

from typing import Any

import torch
from torch import Tensor, nn

Seen = tuple[str, nn.Module, tuple[int, ...]]
"""A layer's name, the layer, and the shape of its output without the batch."""


def outputs(
    module: nn.Module, input_shape: tuple[int, ...], kinds: tuple[type[nn.Module], ...]
) -> list[Seen]:
    """The layers of some kinds in the order in which an image (C, H, W) meets them.

    Raises:
        RuntimeError: torch's, where the network does not take images of this shape.
    """
    found: list[Seen] = []

    def watch(name: str) -> Any:
        def note(layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            found.append((name, layer, tuple(output.shape[1:])))

        return note

    hooks = [m.register_forward_hook(watch(n)) for n, m in module.named_modules() if isinstance(m, kinds)]
    was_training = module.training
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(1, *input_shape, device=device))
    finally:
        module.train(was_training)
        for each in hooks:
            each.remove()
    return found

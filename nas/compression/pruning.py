"""Magnitude pruning: small weights become zero and stay so while the others are trained on.

Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural Networks* (2015),
section 3: weights below a quality parameter times their layer's standard deviation go, in several steps,
each followed by training. Here the parameter is the one that leaves the wanted share of all weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nas.compression.layers import prunable


class Masks:
    """Which weights of a network are left; the others are zero."""

    def __init__(self, module: nn.Module) -> None:
        """All of them, but for what is zero already."""
        self._layers = prunable(module)
        self.kept: dict[str, Tensor] = {
            name: layer.weight.detach() != 0 for name, layer in self._layers.items()
        }

    @property
    def sparsity(self) -> float:
        """The share of weights that are zero, of all that can be."""
        total = sum(mask.numel() for mask in self.kept.values())
        return 1 - sum(int(mask.sum()) for mask in self.kept.values()) / max(1, total)

    def prune(self, sparsity: float) -> None:
        """Leave a share of ``1 - sparsity`` of all weights, and the largest of every layer."""
        sizes = {
            name: _in_deviations(layer.weight.detach(), self.kept[name])
            for name, layer in self._layers.items()
        }
        every = torch.cat([size.reshape(-1) for size in sizes.values()])
        count = round(sparsity * len(every))
        if count:
            quality = every.kthvalue(min(count, len(every))).values
            self.kept = {name: (size > quality) | (size == size.max()) for name, size in sizes.items()}
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Set to zero what is not left; of shared weights nothing else has a number."""
        for name, layer in self._layers.items():
            if not parametrize.is_parametrized(layer, "weight"):
                layer.weight.masked_fill_(~self.kept[name].to(layer.weight.device), 0)

    @contextmanager
    def held(self, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """Apply them after each step of an optimizer."""
        handle = optimizer.register_step_post_hook(lambda *_: self.apply())
        try:
            yield
        finally:
            handle.remove()


def steps_to(sparsity: float, steps: int) -> list[float]:
    """Shares on the way to one, most at first: S (1 - (1 - i / n)^3) (Zhu and Gupta, 2017, equation 1)."""
    return [sparsity * (1 - (1 - step / steps) ** 3) for step in range(1, steps + 1)]


def _in_deviations(weight: Tensor, kept: Tensor) -> Tensor:
    """Sizes of weights, in standard deviations of those of their layer that are left; 0 of the others."""
    held: Any = weight[kept]
    deviation = held.std(correction=0) if held.numel() > 1 else held.abs().sum()
    found: Tensor = weight.abs() / deviation.clamp_min(1e-12) * kept
    return found

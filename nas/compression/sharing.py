"""Weight sharing: the weights of a layer become few numbers, which are trained (Deep Compression, section 3).

The numbers are the centroids of k-means over the layer's weights, which starts at evenly spaced ones from the
least weight to the largest: the paper found that best, as few large weights count for much (section 3.2).
The gradient of a centroid is the sum of those of its weights (equation 3).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

MOST_ROUNDS = 300


class Shared(nn.Module):
    """Weights as centroids (k,), by which of them each weight is: 0 for a weight of zero that stays so."""

    which: Tensor

    def __init__(self, which: Tensor) -> None:
        super().__init__()
        self.register_buffer("which", which)

    def forward(self, centroids: Tensor) -> Tensor:
        """(k,) -> the weights, (O, ...); indexing sums the gradients of a centroid's weights."""
        return torch.cat([centroids.new_zeros(1), centroids])[self.which]

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The centroids of shared weights, (k,): the mean of each one's."""
        flat, which = weight.reshape(-1), self.which.reshape(-1)
        kinds = int(which.max()) + 1
        sums = flat.new_zeros(kinds).index_add_(0, which, flat)
        counts = flat.new_zeros(kinds).index_add_(0, which, torch.ones_like(flat))
        return (sums / counts.clamp_min(1))[1:]


def k_means(values: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centroids (k,), ascending, and which of them each value (N,) is nearest to; k is ``count`` at most.

    Of centroids that no value is nearest to, none is left.
    """
    centroids = np.linspace(values.min(), values.max(), count)
    which = np.full(len(values), -1)
    for _ in range(MOST_ROUNDS):
        found = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
        if (found == which).all():
            break
        which = found
        counts = np.bincount(which, minlength=count)
        sums = np.bincount(which, weights=values, minlength=count)
        centroids = np.sort(np.where(counts > 0, sums / np.maximum(counts, 1), centroids))
    used, which = np.unique(which, return_inverse=True)
    return centroids[used], which.reshape(-1)


@contextmanager
def shared(layers: dict[str, Any], bits: int) -> Iterator[None]:
    """Let the weights of each layer share 2^bits numbers, its parameters inside; zeros stay zero."""
    for layer in layers.values():
        _share(layer, bits)
    try:
        yield
    finally:
        for layer in layers.values():
            if parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def _share(layer: Any, bits: int) -> None:
    weight = layer.weight.detach()
    flat = weight.reshape(-1).cpu().numpy().astype(np.float64)
    held = np.flatnonzero(flat)
    if not len(held):
        return
    centroids, which = k_means(flat[held], 1 << bits)
    of_each = np.zeros(len(flat), np.int64)
    of_each[held] = which + 1
    shared_weights = np.concatenate([[0.0], centroids])[of_each].astype(np.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(shared_weights).reshape(weight.shape))
    index = torch.from_numpy(of_each).reshape(weight.shape).to(weight.device)
    parametrize.register_parametrization(layer, "weight", Shared(index))

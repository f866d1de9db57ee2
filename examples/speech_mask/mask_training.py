"""Training a mask network, and the error that it is judged by."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from mask_data import Frames
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces import Buildable, build
from search_spaces.layers import QuantConv2d, QuantLinear

BATCH, RATE = 256, 3e-3


def mask_error(estimated: NDArray[np.float32], ideal: NDArray[np.float32]) -> float:
    """The mask error in percent: E = 100 / (K L) sum |estimated(k, l) - ideal(k, l)|.

    Roth et al., *Resource-Efficient Neural Networks for Embedded Systems*, section 4.3.2.

    Args:
        estimated: masks (L, K).
        ideal: likewise.
    """
    return float(100 * np.abs(estimated - ideal).mean(dtype=np.float64))


def with_masks(network: nn.Module) -> nn.Sequential:
    """A network (N, F, 1, 1) -> (N, 513) whose outputs become masks of 0 to 1."""
    return nn.Sequential(network, nn.Sigmoid())


def estimate(network: nn.Module, frames: Frames) -> NDArray[np.float32]:
    """The masks (N, 513) that a network gives; leaves it in eval mode."""
    return masks_of(with_masks(network), frames)


@torch.inference_mode()
def masks_of(module: nn.Module, frames: Frames) -> NDArray[np.float32]:
    """The outputs (N, 513) of what ``with_masks`` made; leaves it in eval mode."""
    module.eval()
    return np.concatenate([module(part).numpy() for part in images(frames).split(512)])


def images(frames: Frames) -> Tensor:
    """Features as networks take them: (N, F, 1, 1)."""
    return torch.from_numpy(frames.features)[:, :, None, None]


def trained(
    architecture: Buildable, frames: Frames, epochs: int, seed: int
) -> Iterator[tuple[nn.Module, float]]:
    """Train a network to the least mask error by Adam; gives it after each epoch, with that epoch's error.

    The rate goes up and down once (Smith and Topin, *Super-Convergence*).
    """
    torch.manual_seed(seed)
    network = build(architecture)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = max(1, len(frames.masks) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * steps + 1)
    inputs, ideal = images(frames), torch.from_numpy(frames.masks)
    for _ in range(epochs):
        network.train()
        losses = [
            _step(network, inputs[rows], ideal[rows], optimizer, schedule.step)
            for rows in torch.randperm(len(inputs)).split(BATCH)[:steps]
        ]
        yield network, 100 * sum(losses) / len(losses)


def _step(
    network: nn.Module,
    inputs: Tensor,
    ideal: Tensor,
    optimizer: torch.optim.Optimizer,
    after: Callable[[], None],
) -> float:
    """One step of the optimizer; latent weights stay where they learn. Gives the mean distance."""
    loss = (network(inputs).sigmoid() - ideal).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    after()
    for layer in network.modules():
        if isinstance(layer, QuantConv2d | QuantLinear):
            layer.clip()
    return loss.item()

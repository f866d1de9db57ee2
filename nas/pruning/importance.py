"""How much each channel of a trained network matters: by Taylor expansion, by magnitude, by batch norm."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.data.batches import tensor
from search_spaces.errors import InvalidInput
from search_spaces.pruning.couplings import Couplings
from search_spaces.pruning.layers import NORMS, WEIGHTED
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from nas.data.data_set import Split

Scores = Mapping[str, Tensor]
"""Of each layer that makes channels, by name: how much each of them matters, (channels,)."""
Criterion = Callable[[nn.Module, Couplings, "Split"], Scores]
"""Takes a trained network, its channels, and the images that it was trained on."""
criteria: Registry[Criterion] = Registry("by", "criteria")

MOST_IMAGES, BATCH = 1024, 128
"""How many images a Taylor expansion looks at."""


@criteria.register("taylor")
def taylor(network: nn.Module, couplings: Couplings, images: "Split") -> Scores:
    """The squared first-order change of the loss if a channel's output z becomes zero, a mean over images.

    (sum over pixels of z dL/dz)^2: Molchanov et al., *Importance Estimation for Neural Network Pruning*,
    2019, with the gate behind the batch norm, image by image (the criterion of their paper of 2017 takes its
    absolute value, and needs the layers brought to one length; the squares are in units of the loss, so that
    layers and whole blocks compare as they are). Codes pass gradients as they do in training.
    """
    modules = dict(network.named_modules())
    sums = {name: torch.zeros(len(couplings.made[name])) for name in _weighted(couplings, modules)}
    chosen = np.arange(0, len(images), max(1, len(images) // MOST_IMAGES))[:MOST_IMAGES]
    device = next(network.parameters()).device
    outputs: dict[str, Tensor] = {}
    network.eval()
    with _watched(modules, {name: couplings.behind[name] for name in sums}, outputs):
        for start in range(0, len(chosen), BATCH):
            part = images.at(chosen[start : start + BATCH])
            inputs = tensor(part.take(np.arange(len(part))), part.scaling).to(device)
            labels = torch.from_numpy(part.labels).to(device)
            loss = F.cross_entropy(network(inputs), labels, reduction="sum")
            names = list(outputs)
            grads = torch.autograd.grad(loss, [outputs[name] for name in names], allow_unused=True)
            for name, grad in zip(names, grads, strict=True):
                if grad is not None:
                    product = outputs[name].detach() * grad  # (N, channels, ...)
                    change = product.reshape(*product.shape[:2], -1).sum(2)
                    sums[name] += change.square().sum(0).cpu()
    return {name: found / len(chosen) for name, found in sums.items()}


@criteria.register("magnitude")
def magnitude(network: nn.Module, couplings: Couplings, images: "Split") -> Scores:
    """The sum of a filter's absolute weights (Li et al., *Pruning Filters for Efficient ConvNets*, 2017).

    Latent weights, where they are coded. Each layer's are divided by their Euclidean length, so that layers
    compare (Molchanov et al., 2017, section 2.2).
    """
    modules = dict(network.named_modules())
    found = {}
    for name in _weighted(couplings, modules):
        weight: Any = modules[name].weight
        sums = weight.detach().abs().flatten(1).sum(1).cpu()
        found[name] = sums / sums.norm().clamp_min(1e-12)
    return found


@criteria.register("bn")
def bn(network: nn.Module, couplings: Couplings, images: "Split") -> Scores:
    """The absolute scale of the batch norm behind a channel (Liu et al., *Network Slimming*, 2017).

    Channels without one are left alone.

    Raises:
        InvalidInput: the network has no batch norm.
    """
    modules = dict(network.named_modules())
    behind = {name: modules[couplings.behind[name]] for name in _weighted(couplings, modules)}
    found = {n: norm.weight.detach().abs().cpu() for n, norm in behind.items() if isinstance(norm, NORMS)}
    if not found:
        raise InvalidInput("by", "the network has no batch norm", "choose taylor or magnitude")
    return found


def _weighted(couplings: Couplings, modules: Mapping[str, nn.Module]) -> list[str]:
    """The layers that make channels by weights."""
    return [name for name in couplings.made if isinstance(modules[name], WEIGHTED)]


@contextmanager
def _watched(
    modules: Mapping[str, nn.Module], behind: Mapping[str, str], outputs: dict[str, Tensor]
) -> Iterator[None]:
    """Have the complete output of each layer noted in each forward pass."""

    def note(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        outputs[name] = output

    hooks = [modules[last].register_forward_hook(partial(note, name)) for name, last in behind.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

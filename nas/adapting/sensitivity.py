"""How much a network's outputs change if one of its layers has another precision."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.data.batches import tensor
from search_spaces.activation import InputActivation
from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.precision import precisions
from search_spaces.pruning.fitting import replace_part
from search_spaces.recoding import recodable, recoded

if TYPE_CHECKING:
    from nas.data.data_set import Split

Sensitivities = Mapping[tuple[str, str], float]
"""By a layer's name and a precision: how far the outputs go from the float network's, in nats."""
OnLayer = Callable[[int, int], None]
"""Is told how many layers are done, and of how many."""

MOST_IMAGES, LEAST_IMAGES, BATCH = 256, 32, 64
MOST_PRODUCTS = 5e11
"""Multiplications for all layers and precisions together: about half a minute on one core."""
RANGE_BATCHES = 4
"""Batches by which ranges of inputs are found; ten would not change them much."""


def sensitivities(
    network: nn.Module,
    names: Sequence[str],
    images: "Split",
    macs: int,
    on_layer: OnLayer = lambda done, of: None,
) -> Sensitivities:
    """The mean divergence KL(float || changed) of the outputs, for every layer and each of some precisions.

    One layer at a time is coded, with the scales that fit its float weights best and the range that its
    inputs have, and nothing is trained (Cai et al., *ZeroQ*, 2020, there with images that they synthesize).

    Args:
        network: in float, trained; left as it was.
        names: of precisions.
        images: that are looked at, at most ``MOST_IMAGES`` of them.
        macs: multiplications of the network for one image.
        on_layer: is told of progress.
    """
    network.eval()
    layers = recodable(network)
    count = int(MOST_PRODUCTS / max(1, macs * len(layers) * len(names)))
    count = min(len(images), MOST_IMAGES, max(LEAST_IMAGES, count))
    parts = [part.to(_device(network)) for part in _parts(images, count)]
    coded = dict(_coded(layers, names))
    _find_ranges(network, layers, coded, parts[:RANGE_BATCHES])
    found = {}
    with torch.inference_mode():
        expected = [F.log_softmax(network(part).float(), 1) for part in parts]
        for done, name in enumerate(layers, start=1):
            for precision in names:
                if (layer := coded.get((name, precision))) is not None:
                    with _replaced(network, name, layer):
                        found[name, precision] = _divergence(network, parts, expected)
            on_layer(done, len(layers))
    return found


def calibrate(network: nn.Module, images: "Split") -> None:
    """Let a network's codes of inputs find their ranges, with all else as it is in evaluation mode."""
    network.eval()
    activations = [part for part in network.modules() if isinstance(part, InputActivation)]
    for part in activations:
        part.train()
    with torch.no_grad():
        for images_of_part in _parts(images, min(len(images), RANGE_BATCHES * BATCH)):
            network(images_of_part.to(_device(network)))
    network.eval()


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _parts(images: "Split", count: int) -> Iterator[Tensor]:
    """Evenly spaced images as floats (n, C, H, W)."""
    chosen = np.linspace(0, len(images) - 1, count).round().astype(np.int64)
    for start in range(0, count, BATCH):
        yield tensor(images.take(chosen[start : start + BATCH]), images.scaling)


def _coded(
    layers: Mapping[str, nn.Module], names: Sequence[str]
) -> Iterator[tuple[tuple[str, str], QuantConv2d | QuantLinear]]:
    """Each layer in each precision, with the scales that fit its weights best."""
    for name, layer in layers.items():
        for precision in names:
            try:
                made = recoded(layer, precisions.get(precision))
            except InvalidInput:
                continue  # not for a layer of this shape
            weights: Any = layer
            made.start_from(weights.weight.detach())
            if made.bias is not None:
                made.bias.data.copy_(weights.bias.detach())
            yield (name, precision), made.eval()


def _find_ranges(
    network: nn.Module,
    layers: Mapping[str, nn.Module],
    coded: Mapping[tuple[str, str], QuantConv2d | QuantLinear],
    parts: Sequence[Tensor],
) -> None:
    """Let the layers' codes see what their inputs are in the float network."""
    watching = []
    for (name, _), made in coded.items():
        activation = made.activation

        def see(_: nn.Module, inputs: tuple[Tensor, ...], activation: nn.Module = activation) -> None:
            activation.train()(inputs[0])

        watching.append(layers[name].register_forward_pre_hook(see))
    with torch.no_grad():
        for part in parts:
            network(part)
    for hook in watching:
        hook.remove()
    for made in coded.values():
        made.activation.eval()


@contextmanager
def _replaced(network: nn.Module, name: str, layer: nn.Module) -> Iterator[None]:
    """The network with another layer of that name."""
    before = network.get_submodule(name)
    replace_part(network, name, layer)
    try:
        yield
    finally:
        replace_part(network, name, before)


def _divergence(network: nn.Module, parts: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The mean over images of KL(expected || the network's outputs), in nats; infinite where it has none."""
    total = 0.0
    for part, target in zip(parts, expected, strict=True):
        outputs = F.log_softmax(network(part).float(), 1)
        total += float(F.kl_div(outputs, target, reduction="sum", log_target=True))
    found = total / sum(len(part) for part in parts)
    return max(found, 0.0) if np.isfinite(found) else float("inf")  # rounding may bring it below 0

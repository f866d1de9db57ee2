"""Brings a network to the widths of a pruned architecture, in one pass of an image without content."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput
from search_spaces.pruning.layers import LEAVES, makes, refitted


def fit(network: nn.Module, architecture: Buildable) -> None:
    """Leave out the blocks that an architecture is without, and give its layers the widths that it says.

    All else follows: a layer is made for the channels that come in, which a pass through the network shows.
    A layer that is made anew has fresh weights.

    Raises:
        InvalidInput: there is no such block or layer, it makes fewer channels already, or layers do not fit.
    """
    for name in architecture.without:
        replace_part(network, _known(network, name, "without"), nn.Identity())
    for name, width in architecture.widths.items():
        made = makes(network.get_submodule(_known(network, name, "widths")))
        if made is None or width > made:
            problem = f"'{name}' makes {'no channels' if made is None else f'only {made}'}"
            raise InvalidInput(
                "architecture.widths", problem, "name a layer that makes more, or leave it out"
            )
    _pass(network, architecture)


def replace_part(network: nn.Module, name: str, part: nn.Module) -> None:
    """Put a part in the place of the one called ``name``; the others keep their names."""
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, part)


def _known(network: nn.Module, name: str, field: str) -> str:
    if name not in dict(network.named_modules()):
        fix = "name a part of the network, or leave it out"
        raise InvalidInput(f"architecture.{field}", f"the network has no part '{name}'", fix)
    return name


def _pass(network: nn.Module, architecture: Buildable) -> None:
    """Run an image through; each layer is fitted when it is met."""
    leaves = {name: part for name, part in network.named_modules() if isinstance(part, LEAVES)}
    was_training, device = network.training, next((p.device for p in network.parameters()), None)
    for name, layer in leaves.items():
        layer.__dict__["forward"] = _fitting(network, name, layer, architecture.widths.get(name))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *architecture.input_shape, device=device))
    except InvalidInput as error:
        raise error.of("architecture.widths") from error
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            "architecture.widths", f"layers do not fit ({reason})", "prune it again"
        ) from error
    finally:
        for layer in leaves.values():
            del layer.__dict__["forward"]
        network.train(was_training)


def _fitting(network: nn.Module, name: str, layer: nn.Module, width: int | None) -> Callable[..., Any]:
    forward: Callable[[Tensor], Tensor] = layer.forward

    def fitted(x: Tensor) -> Tensor:
        made = refitted(layer, x.shape[1], width)
        if made is layer:
            return forward(x)
        replace_part(network, name, made)
        return made(x)  # type: ignore[no-any-return]  # torch's

    return fitted

"""Takes channels and blocks out of a trained network: the same weights, without those that are gone."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.architecture import Buildable
from search_spaces.builder import build
from search_spaces.errors import InvalidInput
from search_spaces.pruning.couplings import Couplings
from search_spaces.pruning.flow import Channels, Flow, Ids, traced
from search_spaces.pruning.layers import CONVOLUTIONS, DENSE, is_depthwise


def cut(
    network: nn.Module, couplings: Couplings, architecture: Buildable, gone: Collection[int]
) -> nn.Module:
    """The network of a pruned architecture, with the weights of what is left of another network.

    It computes what the other one does with the channels that are gone at zero. That holds for the codes of
    weights that are left: those whose scale follows from all weights of a layer get that of what is left.

    Args:
        network: what is pruned.
        couplings: of its channels.
        architecture: of what is left: ``couplings.widths`` of ``gone``, and without some blocks.
        gone: the coupled sets that are taken out.

    Raises:
        InvalidInput: what is left is no such network: its groups would see other channels than before.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay
        pruned = build(architecture)
    tensor = next(network.parameters())
    pruned.to(tensor.device, tensor.dtype)
    left = _Left({name: [i for i in ids if i not in gone] for name, ids in couplings.made.items()})
    Flow(pruned, traced(pruned)[0], left).follow(architecture.input_shape)
    modules = dict(network.named_modules())
    with torch.no_grad():
        for name, part in pruned.named_modules():
            if name in left.into and name in couplings.into:
                was = couplings.into[name], couplings.out[name]
                _fill(part, modules[name], was, (left.into[name], left.out[name]), name)
            elif not any(name.startswith(f"{layer}.") for layer in left.into):
                for key, own in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
                    own.copy_(getattr(modules[name], key))
    return pruned.train(network.training)


class _Left(Channels):
    """The channels of a pruned network, by the numbers that they had before."""

    def __init__(self, made: Mapping[str, Ids]) -> None:
        super().__init__()
        self._made, self._unknown = made, -1

    def make(self, name: str, count: int) -> Ids:
        if name.startswith("?"):  # which all are there; nobody looks at their numbers
            self._unknown -= count
            return list(range(self._unknown, self._unknown + count))
        return self._made[name]

    def join(self, one: Ids, other: Ids) -> Ids:
        if one != other:
            raise InvalidInput("widths", "channels that are added are no longer the same", "cut others")
        return one

    def keep(self, ids: Ids) -> None:
        """What is cut was chosen before."""


def _fill(layer: Any, before: Any, was: tuple[Ids, Ids], now: tuple[Ids, Ids], name: str) -> None:
    """Give a layer what is left of the numbers of the layer before."""
    into, out = _places(was[0], now[0]), _places(was[1], now[1])
    own, other = layer.state_dict(), before.state_dict()
    for key, tensor in own.items():
        found: Tensor = other[key]
        if key == "weight" and isinstance(layer, (*CONVOLUTIONS, *DENSE)) and not is_depthwise(before):
            found = _weight(found, into, out, getattr(before, "groups", 1), name)
        elif found.dim() and len(found) == len(was[1]):
            found = found[out]
        tensor.copy_(found)


def _places(was: Ids, now: Ids) -> list[int]:
    """Where each channel of ``now`` was; one that is there several times, by its turn."""
    seen: Counter[int] = Counter()
    places = {}
    for place, one in enumerate(was):
        places[one, seen[one]] = place
        seen[one] += 1
    turns: Counter[int] = Counter()
    found: list[int] = []
    for one in now:
        found.append(places.get((one, turns[one]), len(found)) if one < 0 else places[one, turns[one]])
        turns[one] += 1
    return found


def _weight(weight: Tensor, into: list[int], out: list[int], groups: int, name: str) -> Tensor:
    """What is left of a weight (O, I / groups, ...)."""
    size, rows = weight.shape[1], len(weight) // groups
    ins, outs = torch.tensor(into).chunk(groups), torch.tensor(out).chunk(groups)
    for group, (its, made) in enumerate(zip(ins, outs, strict=True)):
        if bool((its // size != group).any() or (made // rows != group).any()):
            problem = f"the groups of '{name}' would see other channels than before"
            raise InvalidInput("widths", problem, "cut others")
    return torch.cat([weight[made][:, its % size] for its, made in zip(ins, outs, strict=True)])

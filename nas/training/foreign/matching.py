"""Finds out which network tensors are of, by their names and shapes, and gives them our names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.training.foreign.family import Family, families
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

COUNTER = "num_batches_tracked"
"""Of a batch norm, which old files lack, and nothing depends on."""

NEAR = 0.5
"""The share of names in common from which a file is told to be nearly some network's."""


@dataclass(frozen=True)
class Match:
    """A network that tensors fit.

    Attributes:
        name: of the family.
        family: whose names the tensors have.
        classes: that the last layer tells apart.
        module: our network, on the device ``meta``.
        ours: our name of each tensor, by its name there.
    """

    name: str
    family: Family
    classes: int
    module: "nn.Module"
    ours: Mapping[str, str]


def find(tensors: "Mapping[str, Tensor]") -> Match | None:
    """The network whose names and shapes the tensors have, all of them and no others, if there is one."""
    return next((match for match, wrong in _candidates(tensors) if not wrong), None)


def matched(tensors: "Mapping[str, Tensor]") -> Match:
    """The network whose names and shapes the tensors have, all of them and no others.

    Raises:
        InvalidInput: there is none; the message tells what is in the way of the nearest.
    """
    found = find(tensors)
    if found is not None:
        return found
    candidates = [(len(wrong), match.name, wrong[0]) for match, wrong in _candidates(tensors)]
    if not candidates:
        raise _unlike(_layers(tensors))
    _, name, wrong = min(candidates)
    problem = f"its layers have the names of those of {name}, but {wrong}"
    raise InvalidInput("weights", problem, "give weights of that network as it was published")


def _candidates(tensors: "Mapping[str, Tensor]") -> Iterator[tuple[Match, list[str]]]:
    """The networks whose layers have the same names, and what else is not as they have it."""
    layers = _layers(tensors)
    for name in families:
        if (family := families.get(name)).layers.keys() == layers:
            match = _matching(name, family, tensors)
            yield match, _differing(match, tensors)


def _layers(tensors: Iterable[str]) -> set[str]:
    return {name.rpartition(".")[0] for name in tensors}


def _matching(name: str, family: Family, tensors: "Mapping[str, Tensor]") -> Match:
    import torch

    import search_spaces

    last = tensors.get(f"{family.classifier}.weight")
    classes = max(2, len(last) if last is not None and last.ndim else 0)  # of fewer the shape will not fit
    with torch.device("meta"):  # names and shapes, without memory
        module = search_spaces.network(family.network, classes=classes)
    theirs = {ours: name for name, ours in family.layers.items()}
    ours = {}
    for tensor in module.state_dict():
        layer, _, part = tensor.rpartition(".")
        if layer in theirs:
            ours[f"{theirs[layer]}.{part}"] = tensor
    return Match(name, family, classes, module, ours)


def _differing(match: Match, tensors: "Mapping[str, Tensor]") -> list[str]:
    """What of the tensors is not as the network has it, one phrase each."""
    own = match.module.state_dict()
    needed = {name for name in match.ours if not name.endswith(COUNTER)}
    found = [f"'{name}' is missing" for name in sorted(needed - tensors.keys())]
    found += [f"it has '{name:.60}' as well" for name in sorted(tensors.keys() - match.ours.keys())]
    for name in match.ours.keys() & tensors.keys():
        shape, wanted = tuple(tensors[name].shape), tuple(own[match.ours[name]].shape)
        # a dense layer on one pixel may be a 1x1 convolution there
        if shape != wanted and shape != (*wanted, 1, 1):
            found.append(f"'{name}' is {_shape(shape)}, not {_shape(wanted)}")
    return found


def _unlike(layers: set[str]) -> InvalidInput:
    """Says what the layers lack for being the most similar family's."""
    among = {name: families.get(name) for name in families}

    def likeness(name: str) -> float:
        known = among[name].layers.keys()
        return len(known & layers) / len(known | layers)

    nearest = max(among, key=likeness)
    known = among[nearest].layers.keys()
    if likeness(nearest) < NEAR:
        fix = f"give weights of one of {', '.join(sorted({each.network for each in among.values()}))}"
        return InvalidInput("weights", "its tensors are of no network that is known here", fix)
    lacks, others = sorted(known - layers), sorted(layers - known)
    parts = [f"lacks {len(lacks)} layers, such as '{lacks[0]}'"] if lacks else []
    parts += [f"has {len(others)} others, such as '{others[0]:.60}'"] if others else []
    problem = f"it is not quite a {nearest}: it {' and '.join(parts)}"
    return InvalidInput("weights", problem, "give weights of that network as it was published")


def _shape(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes)) or "one number"


def converted(match: Match, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors under our names, in float32, so that our network computes what the other one does.

    A batch norm divides by sqrt(variance + eps): where eps is another there, the variance takes the
    difference.

    Raises:
        InvalidInput: a number is not finite, or a variance is negative.
    """
    own, modules = match.module.state_dict(), dict(match.module.named_modules())
    found = {}
    for theirs, ours in match.ours.items():
        layer, _, part = ours.rpartition(".")
        if part == COUNTER:
            found[ours] = own[ours].new_zeros((), device="cpu")
            continue
        tensor = tensors[theirs].detach().float().reshape(own[ours].shape).clone()
        if not tensor.isfinite().all():
            raise InvalidInput("weights", f"'{theirs}' has numbers that are not finite", "give others")
        if part == "running_var":
            if (tensor < 0).any():
                raise InvalidInput("weights", f"'{theirs}' has a negative variance", "give others")
            tensor += match.family.eps - modules[layer].eps
        found[ours] = tensor
    return found

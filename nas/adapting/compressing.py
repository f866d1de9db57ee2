"""Brings a trained float network within a budget: prunes channels and blocks, then lowers precisions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from nas.adapting.budget import Budget
from nas.adapting.precisions import precisions_within
from nas.adapting.sensitivity import Sensitivities
from nas.bars import Show
from nas.formatting import kilobytes, milliseconds
from nas.pruning.choosing import Chooser, Cut
from nas.pruning.greedy import Costs, OnWay
from nas.pruning.importance import Scores
from nas.pruning.run import on_way
from search_spaces.architecture import Buildable
from search_spaces.errors import InfeasibleStepError
from search_spaces.pruning.cutting import cut as cut_out
from search_spaces.sizing import size

if TYPE_CHECKING:
    from torch import nn

    from latency import LatencyModel, Measurement
    from search_spaces.pruning.couplings import Couplings

TRIES, MARGIN = 4, 0.98
"""How often a network is compressed again because, measured whole, it takes longer than its kernels promised,
and the share of what is wanted then."""

SHARES = {"precisions": 0.0, "both": 0.5, "pruning": 1.0}
"""Ways into a budget, by name: how much of the way pruning goes, before precisions are lowered."""


@dataclass(frozen=True)
class Compressed:
    """A network within a budget, not trained yet.

    Attributes:
        architecture: of it.
        module: with the weights that are left.
        measured: the time of the whole network.
    """

    architecture: Buildable
    module: "nn.Module"
    measured: "Measurement"


@dataclass(frozen=True)
class Known:
    """What is known of a trained network in float, by which it is compressed.

    Attributes:
        architecture: of it.
        module: with its weights, in evaluation mode.
        channels: that can be taken out.
        scores: how much they matter.
        sensitivities: how much the precision of each layer matters.
        begins: precisions of all layers to begin with.
    """

    architecture: Buildable
    module: "nn.Module"
    channels: "Couplings"
    scores: Scores
    sensitivities: Sensitivities
    begins: Sequence[Mapping[str, str]]


def compress(
    known: Known,
    way: str,
    budget: Budget,
    model: "LatencyModel",
    say: Callable[[str], None] = lambda _: None,
    show: Show = lambda *_: None,
) -> Compressed:
    """Compress a network in one of the ``SHARES``, until, measured whole, it is within the budget.

    ``say`` is told of precisions that the device has no kernels for, and ``show`` how far it has come.

    Raises:
        InfeasibleStepError: nothing that is left is.
        MeasurementError: the device gave no usable time.
    """
    wanted = budget
    for _ in range(TRIES):
        found = _by_kernels(known, SHARES[way], wanted, model, say, show)
        measured = model.networks.measure(
            [model.compile(found.module, (1, *found.architecture.input_shape))]
        )[0]
        if budget.holds(measured.milliseconds, found.architecture):
            return Compressed(found.architecture, found.module, measured)
        if not found.is_enough:
            break
        wanted = wanted.tighter(measured.milliseconds, MARGIN)
    least = f"{milliseconds(measured.milliseconds)} ms and {kilobytes(size(found.architecture).kilobytes)} kB"
    raise InfeasibleStepError(f"the least that is left takes {least}, where {budget} are wanted")


@dataclass(frozen=True)
class _ByKernels:
    """What is within a budget by the times of its kernels, or as near to it as it comes."""

    architecture: Buildable
    module: "nn.Module"
    is_enough: bool


def _by_kernels(
    known: Known,
    share: float,
    budget: Budget,
    model: "LatencyModel",
    say: Callable[[str], None],
    show: Show,
) -> _ByKernels:
    """Prune for a share of the way, lower precisions, and prune again if that did not suffice."""
    costs, target = budget.costs(model, show), budget.target
    pruning, lowering = on_way(show, "pruning"), on_way(show, "lowering precisions")
    cut = Cut(known.architecture, costs.known([known.architecture])[0])
    if share:
        cut = _pruned(known, cut, {}, costs, cut.cost * (target / cut.cost) ** share, pruning)
    left = {key: value for key, value in known.sensitivities.items() if not _is_gone(key[0], cut.without)}
    begins = [{name: p for name, p in begin.items() if (name, p) in left} for begin in known.begins]
    found = precisions_within(cut.architecture, begins, left, costs, target, say, lowering)
    chosen = found.architecture.layer_precisions
    cut = replace(cut, architecture=found.architecture, cost=found.cost)
    if found.cost > target:
        cut = _pruned(known, cut, chosen, costs, target, pruning)
        chosen = {name: p for name, p in chosen.items() if not _is_gone(name, cut.without)}
    architecture = cut.architecture.recoded(chosen)
    return _ByKernels(architecture, _module(known, cut, architecture), cut.cost <= target)


def _pruned(
    known: Known, cut: Cut, chosen: Mapping[str, str], costs: Costs, target: float, tell: OnWay
) -> Cut:
    """What is left once more was taken out of a network in some precisions."""

    def check(left: Buildable, gone: frozenset[int]) -> None:
        cut_out(known.module, known.channels, left.recoded({}), gone)

    base = known.architecture.recoded(chosen)
    chooser = Chooser(base, known.channels, known.scores, costs, check, cut.gone, cut.without)
    return chooser.fuller(target) if chooser.down_to(target, tell) else chooser.now


def _is_gone(layer: str, without: Sequence[str]) -> bool:
    return layer.startswith(tuple(f"{block}." for block in without))


def _module(known: Known, cut: Cut, architecture: Buildable) -> "nn.Module":
    """The network of an architecture with the weights that are left, in its precisions."""
    from nas.training.weights import take_over
    from search_spaces.builder import build

    left = cut_out(known.module, known.channels, architecture.recoded({}), cut.gone)
    if not architecture.layer_precisions:
        return left
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay
        module = build(architecture)
    take_over(module, left.state_dict(), {})
    return module.eval()

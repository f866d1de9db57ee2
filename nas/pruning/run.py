"""Prunes a trained network in rounds: what is taken out is chosen, then what is left is trained on."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nas.formatting import milliseconds
from nas.ledger.adding import Trained
from nas.ledger.entries import Cost, EpochRecord
from nas.pruning.choosing import Chooser, Cut
from nas.pruning.importance import criteria
from nas.pruning.source import Source
from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput, NothingFitsError, Parameter

if TYPE_CHECKING:
    from torch import nn

    from latency import LatencyModel, Measurement
    from nas.training.loop import Epoch, Training
    from search_spaces.pruning.couplings import Couplings

Say = Callable[[str], None]
TRIES = 5
"""How often a network is cut again because, measured whole, it takes longer than its kernels promised."""
MARGIN = 0.98
"""Of what is wanted, where it is cut again."""


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Attributes:
        by: the name of a criterion.
        target_latency_ms: what the network may take, or
        target_share: which share of what it takes, 0..1.
        rounds: in how many steps it comes there, with a training after each.
        epochs: of each of these trainings.
        rate: their highest learning rate.
        distillation: the share of the loss that the unpruned network teaches; 0 for none.
        seed: of the trainings.

    Raises:
        InvalidInput: a number is out of range, or not exactly one target is given.
    """

    by: str = "taylor"
    target_latency_ms: float | None = None
    target_share: float | None = None
    rounds: int = 1
    epochs: int = 10
    rate: float | None = None
    distillation: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        criteria.get(self.by)
        if (self.target_latency_ms is None) == (self.target_share is None):
            problem = "neither it nor " if self.target_share is None else "it is given beside "
            fix = "give one of them, such as a share of 0.5"
            raise InvalidInput("target_share", (problem, Parameter("target_latency_ms")), fix)
        for name, value, low, high in (
            ("target_latency_ms", self.target_latency_ms, 1e-9, 1e9),
            ("target_share", self.target_share, 0.01, 0.99),
            ("rounds", self.rounds, 1, 20),
            ("epochs", self.epochs, 1, 100_000),
            ("rate", self.rate, 1e-9, 1e3),
            ("distillation", self.distillation, 0, 1),
            ("seed", self.seed, 0, 2**32 - 1),
        ):
            if value is not None and not low <= value <= high:  # NaN is in no range
                raise InvalidInput(name, f"{value:g} is out of range", f"give {low:g} to {high:g}")

    @property
    def target(self) -> str:
        """The name of the target that is given."""
        return "target_share" if self.target_latency_ms is None else "target_latency_ms"


@dataclass(frozen=True)
class Pruned:
    """A network on the way: the first is the one that is pruned, as it was.

    Attributes:
        architecture: of it.
        module: with its weights, in evaluation mode.
        measured: the time of the whole network.
        accuracy: on the validation split, 0..1.
        before_training: the accuracy before it was trained on, None where it was not.
        training: it was trained by, if it was.
        without: the blocks that were left out in this round.
        started_at: when work on it began.
    """

    architecture: Buildable
    module: "nn.Module"
    measured: "Measurement"
    accuracy: float
    started_at: datetime
    before_training: float | None = None
    training: "Training | None" = None
    without: tuple[str, ...] = ()


OnPruned = Callable[[Pruned], None]
"""Is told of each network when it is done: the one that is pruned, then those of the rounds."""
OnEpoch = Callable[["Epoch"], None]


def prune(
    source: Source,
    request: Request,
    model: "LatencyModel",
    on_pruned: OnPruned,
    say: Say = lambda _: None,
    on_epoch: OnEpoch = lambda _: None,
) -> list[Pruned]:
    """Prune a network to a latency on a model's device; nothing that is slower than before comes out.

    Raises:
        InvalidInput: it is as fast as is wanted, or cannot be pruned.
        NothingFitsError: what pruning leaves is never as fast.
    """
    from nas.training.loop import accuracy

    now = datetime.now(UTC)
    say(f"{source.title}: measuring")
    measured = _measured(model, source.module, source.architecture)
    right = accuracy(source.module, source.data.validation)
    found = [Pruned(source.architecture, source.module, measured, right, now)]
    before, goals = measured.milliseconds, _goals(request, measured.milliseconds)
    say(f"{source.title}: {milliseconds(before)} ms, accuracy {right:.2%}; want {milliseconds(goals[-1])} ms")
    for number, goal in enumerate(goals, start=1):
        now = datetime.now(UTC)
        title = f"round {number} of {len(goals)}"
        say(f"{title}: choosing channels and blocks for {milliseconds(goal)} ms")
        last, module, measured = _smaller(found[-1], source, request, model, goal)
        left = accuracy(module, source.data.validation)
        say(f"{title}: {milliseconds(measured.milliseconds)} ms, accuracy {left:.2%}; training")
        training = _trained(module, source, request, number, on_epoch)
        right = training.history[-1].accuracy or 0.0
        found.append(Pruned(last.architecture, module, measured, right, now, left, training, last.without))
        for each in found if number == 1 else found[-1:]:  # nothing is told of what comes to nothing
            on_pruned(each)
    return found


def _goals(request: Request, before: float) -> list[float]:
    """What the network may take after each round, in milliseconds: each takes the same share away."""
    target = (
        before * (request.target_share or 0.0)
        if request.target_latency_ms is None
        else request.target_latency_ms
    )
    if target >= before:
        problem = f"the network takes {milliseconds(before)} ms already"
        raise InvalidInput(request.target, problem, "give less")
    return [before * (target / before) ** (step / request.rounds) for step in range(1, request.rounds + 1)]


def _smaller(
    network: Pruned, source: Source, request: Request, model: "LatencyModel", goal: float
) -> "tuple[Cut, nn.Module, Measurement]":
    """What is left of a network that takes no more than a goal, measured whole; not trained yet."""
    from search_spaces.pruning.couplings import couplings
    from search_spaces.pruning.cutting import cut

    module, architecture = network.module, network.architecture
    channels = couplings(module, architecture.input_shape)
    if not channels.dimensions and not channels.blocks:
        problem = f"nothing of {source.title} can be taken out: its channels all go out, or are unknown"
        raise InvalidInput("run", problem, "prune another network")
    scores = criteria.get(request.by)(module, channels, source.data.train)
    chooser = Chooser(
        architecture,
        channels,
        scores,
        lambda some: latencies(model, some),
        lambda left, gone: _check(module, channels, left, gone),
    )
    wanted = goal * chooser.now.cost / network.measured.milliseconds
    for _ in range(TRIES):
        is_enough = chooser.down_to(wanted)
        left = cut(module, channels, chooser.now.architecture, chooser.now.gone)
        measured = _measured(model, left, chooser.now.architecture)
        if measured.milliseconds <= goal:
            return chooser.now, left, measured
        if not is_enough:
            break
        wanted = min(wanted, chooser.now.cost) * min(MARGIN, goal / measured.milliseconds)
    least = f"{milliseconds(measured.milliseconds)} ms, over the {milliseconds(goal)} ms that are wanted"
    raise NothingFitsError(
        Parameter(request.target), f": the least that pruning leaves takes {least}; give more"
    )


def _check(module: "nn.Module", channels: "Couplings", left: Buildable, gone: frozenset[int]) -> None:
    """Refuse what cannot be cut."""
    from search_spaces.pruning.cutting import cut

    cut(module, channels, left, gone)


def latencies(model: "LatencyModel", architectures: Sequence[Buildable]) -> list[float]:
    """What architectures take by their kernels, in milliseconds; kernels not known are measured in one go."""
    from latency.model.workloads import workloads_of

    model.kernels.fill([work for each in architectures for work in workloads_of(each)])
    return [model.predict(each).milliseconds for each in architectures]


def _measured(model: "LatencyModel", module: "nn.Module", architecture: Buildable) -> "Measurement":
    network = model.compile(module, (1, *architecture.input_shape))
    return model.networks.measure([network])[0]


def _trained(
    module: "nn.Module", source: Source, request: Request, number: int, on_epoch: OnEpoch
) -> "Training":
    """Train what is left, taught by the network that was pruned; ``module`` has the weights in the end."""
    from nas.seeds import training_seed
    from nas.training.loop import Training

    usual = source.recipe
    rate = usual.peak_rate / 3 if request.rate is None else request.rate
    recipe = replace(usual, peak_rate=rate, distillation=request.distillation)
    teacher = copy.deepcopy(source.module) if request.distillation else None
    seed = training_seed(request.seed, number)
    training = Training(module, source.data, request.epochs, seed, recipe, teacher)
    for epoch in training.run():
        on_epoch(epoch)
    module.to("cpu")
    return training


def trained(pruned: Pruned, source: Source, model: "LatencyModel", parents: tuple[int, ...]) -> Trained:
    """A network as the ledger records it."""
    from nas.measuring.bench import predicted
    from nas.training.loop import save_weights
    from nas.training.mistakes import counted
    from nas.trials.costing import costs_of
    from search_spaces.sizing import size

    found = predicted(model.predict(pruned.architecture))
    cost = Cost(
        latency_ms=found.milliseconds,
        size_kb=size(pruned.architecture).kilobytes,
        latency_by_workload=found.by_workload,
        estimated=list(found.estimated),
        latency_low_ms=found.low,
        latency_high_ms=found.high,
        costs=costs_of(pruned.architecture),
    )
    training, data = pruned.training, source.data
    judged = None if training is None else training.predictions
    return Trained(
        pruned.architecture.to_json(),
        pruned.architecture.digest,
        pruned.accuracy,
        cost,
        pruned.measured,
        save_weights(pruned.module),
        [] if training is None else [EpochRecord(**epoch.to_dict()) for epoch in training.history],
        source.epochs,
        None if judged is None else counted(judged, data.validation.labels, data.classes),
        parents,
        pruned.started_at,
    )

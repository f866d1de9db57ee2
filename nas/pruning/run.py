"""Prunes a trained network in rounds: what is taken out is chosen, then what is left is trained on."""

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from nas.bars import Show, Showing, show_nothing
from nas.formatting import milliseconds
from nas.pruning.choosing import Chooser, Cut
from nas.pruning.greedy import Costs, OnWay
from nas.pruning.importance import criteria
from nas.pruning.source import Source
from nas.ranges import TRAINING, check_ranges
from nas.steps.networks import Decided, Step, cost_of, measured
from nas.steps.steps import OnEpoch, Steps
from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput, MeasurementError, NothingFitsError, Parameter

if TYPE_CHECKING:
    from torch import nn

    from latency import LatencyModel, Measurement
    from nas.training.loop import Training
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
        check_ranges(
            self, target_latency_ms=(1e-9, 1e9), target_share=(0.01, 0.99), rounds=(1, 20), **TRAINING
        )

    @property
    def target(self) -> str:
        """The name of the target that is given."""
        return "target_share" if self.target_latency_ms is None else "target_latency_ms"

    def settings(self, source: Source) -> dict[str, Any]:
        """The fields as JSON-able values, what follows from the network filled in."""
        return {**asdict(self), "rate": self.rate_for(source)}

    def rate_for(self, source: Source) -> float:
        """The highest learning rate of the trainings."""
        return source.recipe.peak_rate if self.rate is None else self.rate


def prune(
    source: Source,
    request: Request,
    model: "LatencyModel",
    steps: Steps,
    say: Say = lambda _: None,
    on_epoch: OnEpoch = lambda *_: None,
    showing: Showing = show_nothing,
) -> list[Step]:
    """Prune a network to a latency on a model's device; nothing that is slower than before comes out.

    The first of the ``steps`` is the network as it was, each further one a round. Those that are complete are
    not made again.

    Raises:
        InvalidInput: it is as fast as is wanted, or cannot be pruned.
        NothingFitsError: what pruning leaves is never as fast.
        BitnasError: what ``steps`` raise.
    """
    import torch

    torch.set_num_threads(source.recipe.threads or os.cpu_count() or 1)  # as in trainings: sums depend on it
    found = [steps.run(0, partial(_as_it_was, source, request, model, say, showing))]
    goals = _goals(request, found[0].milliseconds)
    for number, goal in enumerate(goals, start=1):
        title = f"round {number} of {len(goals)}"
        decide = partial(_pruned, found[-1], source, request, model, goal, title, say, showing)
        found.append(steps.run(number, decide, partial(_training, source, request, number), on_epoch))
    return found


def _as_it_was(
    source: Source, request: Request, model: "LatencyModel", say: Say, showing: Showing
) -> Decided:
    """The network that is pruned; InvalidInput where it is as fast as is wanted."""
    from nas.training.loop import judge
    from nas.training.mistakes import counted

    say(f"{source.title}: measuring")
    with showing() as show:
        latencies(model, [source.architecture], show)
    time, split = measured(model, source.module, source.architecture), source.data.validation
    judged = judge(source.module, split)
    right = float((judged.classes == split.labels).mean())
    before, goal = time.milliseconds, _goals(request, time.milliseconds)[-1]
    say(f"{source.title}: {milliseconds(before)} ms, accuracy {right:.2%}; want {milliseconds(goal)} ms")
    return Decided(
        source.architecture,
        source.module,
        right,
        cost_of(model, source.architecture),
        time,
        epochs=source.epochs,
        same_as=source.same_as,
        predictions=counted(judged, split.labels, source.data.classes),
    )


def _pruned(
    last: Step,
    source: Source,
    request: Request,
    model: "LatencyModel",
    goal: float,
    title: str,
    say: Say,
    showing: Showing,
) -> Decided:
    """What a round leaves of the last network, as it is before it is trained."""
    from nas.training.loop import accuracy

    say(f"{title}: choosing channels and blocks for {milliseconds(goal)} ms")
    with showing() as show:
        left = _smaller(last, source, request, model, goal, show)
    right = accuracy(left.module, source.data.validation)
    say(f"{title}: {milliseconds(left.time.milliseconds)} ms, accuracy {right:.2%}; training")
    cost = cost_of(model, left.architecture)
    return Decided(left.architecture, left.module, right, cost, left.time, parents=(last.number,))


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


@dataclass(frozen=True)
class _Left:
    """What is left of a network, not trained yet, and its time, measured whole."""

    architecture: Buildable
    module: "nn.Module"
    time: "Measurement"


def _smaller(
    network: Step, source: Source, request: Request, model: "LatencyModel", goal: float, show: Show
) -> _Left:
    """What is left of a network that takes no more than a goal; what the goal does not need is put back."""
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
        Costs(lambda some: latencies(model, some, show)),
        lambda left, gone: _check(module, channels, left, gone),
    )

    def made(now: Cut) -> _Left:
        left = cut(module, channels, now.architecture, now.gone)
        return _Left(now.architecture, left, measured(model, left, now.architecture))

    wanted = goal * chooser.now.cost / network.milliseconds
    for _ in range(TRIES):
        is_enough = chooser.down_to(wanted, on_way(show, "pruning"))
        left = made(chooser.now)
        took = left.time.milliseconds
        if took <= goal:
            fuller = chooser.fuller(chooser.now.cost * goal / took)
            again = left if fuller == chooser.now else made(fuller)
            return again if again.time.milliseconds <= goal else left
        if not is_enough:
            break
        wanted = min(wanted, chooser.now.cost) * min(MARGIN, goal / took)
    least = f"{milliseconds(took)} ms, over the {milliseconds(goal)} ms that are wanted"
    raise NothingFitsError(
        Parameter(request.target), f": the least that pruning leaves takes {least}; give more"
    )


def _check(module: "nn.Module", channels: "Couplings", left: Buildable, gone: frozenset[int]) -> None:
    """Refuse what cannot be cut."""
    from search_spaces.pruning.cutting import cut

    cut(module, channels, left, gone)


def latencies(
    model: "LatencyModel", architectures: Sequence[Buildable], show: Show = lambda *_: None
) -> list[float]:
    """What architectures take by their kernels, in milliseconds; kernels not known are measured in one go."""
    from latency.model.workloads import workloads_of

    def tell(done: int, of: int) -> None:
        if of:
            show("measuring kernels", done, of)

    model.kernels.fill([work for each in architectures for work in workloads_of(each)], tell)
    return [model.predict(each).milliseconds for each in architectures]


def on_way(show: Show, what: str) -> OnWay:
    """Shows in hundredths how far something has come."""
    return lambda share: show(f"{what}, % of the way", round(100 * share), 100)


def guessed_latencies(model: "LatencyModel", architectures: Sequence[Buildable]) -> list[float]:
    """The same, where kernels not known are estimated from those that are; measured if these are too few."""
    try:
        return [model.estimate(each).milliseconds for each in architectures]
    except MeasurementError:
        return latencies(model, architectures)


def _training(source: Source, request: Request, number: int, module: "nn.Module") -> "Training":
    """The training of what a round leaves, taught by the network that is pruned."""
    from nas.seeds import training_seed
    from nas.training.loop import Training

    recipe = replace(
        source.recipe, peak_rate=request.rate_for(source), distillation=request.distillation, rungs=()
    )
    teacher = copy.deepcopy(source.module) if request.distillation else None
    seed = training_seed(request.seed, number)
    return Training(module, source.data, request.epochs, seed, recipe, teacher)

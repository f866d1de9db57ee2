"""Adapts a trained network: its head is trained, then all of it, then what is left of it within a budget."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch

from nas.adapting.budget import Budget
from nas.adapting.compressing import SHARES, Known, compress
from nas.adapting.sensitivity import calibrate, sensitivities
from nas.adapting.source import Given
from nas.bars import Showing, show_nothing
from nas.formatting import kilobytes, milliseconds
from nas.pruning.run import latencies
from nas.ranges import TRAINING, check_ranges
from nas.seeds import training_seed
from nas.steps.networks import Decided, Step, cost_of, measured
from nas.steps.steps import OnEpoch, Steps
from nas.training.loop import Training, accuracy
from nas.training.recipe import Recipe
from search_spaces.architecture import Buildable
from search_spaces.builder import build
from search_spaces.errors import InfeasibleStepError, InvalidInput, NothingFitsError, Parameter
from search_spaces.precision import precisions
from search_spaces.sizing import size

if TYPE_CHECKING:
    from torch import nn

    from latency import LatencyModel
    from nas.data import DataSet

HEAD, FLOAT, FIRST_WAY = 0, 1, 2
"""The numbers of the steps: the head, all of the float network, then a trial of each way into the budget."""
HEAD_SHARE, TRIAL_SHARE = 0.2, 0.3
"""Of the epochs that the whole network is trained: those of the head alone, and of each trial."""
PRECISIONS = ("int8", "ternary-int8")
"""What layers are tried in: those that suit networks with ReLUs."""
FINE_RATE = 1 / 3
"""Of the data's usual learning rate: what is trained on from weights that are nearly right.

A tenth taught ResNet-20 less, judged by images that it had not seen.
"""


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Attributes:
        budget: what the network may take.
        epochs: of the float network, and of the one within the budget.
        precisions: names of those that layers may have beside float.
        rate: the highest learning rate of a new head; None for what is usual with the data.
        distillation: the share of the loss that the float network teaches the one within the budget.
        seed: of the trainings.
        validation: the share of the images that is held back to judge by; None for what is usual for so many.

    Raises:
        InvalidInput: a number is out of range, or there is no such precision.
    """

    budget: Budget
    epochs: int = 30
    precisions: tuple[str, ...] = PRECISIONS
    rate: float | None = None
    distillation: float = 0.5
    seed: int = 0
    validation: float | None = None

    def __post_init__(self) -> None:
        if not self.precisions:
            raise InvalidInput("precisions", "there is none", "give one or more, such as int8")
        for name in self.precisions:
            try:
                precisions.get(name)
            except InvalidInput as error:
                raise error.of("precisions") from error
        check_ranges(self, validation=(0.01, 0.9), **TRAINING)

    def check(self, given: Given) -> None:
        """InvalidInput where layers of the network that is adapted cannot have one of the precisions."""
        for name in self.precisions:
            if not given.takes(name):
                problem = f"'{name}' takes signs, which are all +1 behind the ReLUs of {given.title}"
                raise InvalidInput("precisions", problem, "choose others")

    def part(self, share: float) -> int:
        """A share of the epochs, at least one."""
        return max(1, round(self.epochs * share))


@dataclass
class Adapting:
    """The steps from trained weights to a network within a budget.

    Attributes:
        given: the trained weights.
        data: the new images.
        recipe: what is usual for them.
        request: what is wanted.
        model: of the device.
        steps: where they are kept.
        say: is told what is being done.
        on_epoch: is told of each epoch.
        showing: shows what takes long beside that.
    """

    given: Given
    data: "DataSet"
    recipe: Recipe
    request: Request
    model: "LatencyModel"
    steps: Steps
    say: Callable[[str], None] = lambda _: None
    on_epoch: OnEpoch = field(default=lambda *_: None)
    showing: Showing = field(default=show_nothing)

    def run(self) -> list[tuple[str, Step]]:
        """All steps, each with what it is, in order; the last is within the budget.

        Raises:
            NothingFitsError: nothing that is left of the network is within the budget.
            InvalidInput: the weights are for other images.
        """
        head = self._head()
        whole = self._whole(head)
        done = [("head", head), ("float", whole)]
        if self.request.budget.holds(whole.milliseconds, whole.architecture):
            self.say(f"the float network is within {self.request.budget}: nothing is compressed")
            self.steps.end("the float network is within the budget")
            return done
        tried = self._tried(whole)
        way, best = max(tried, key=lambda one: (one[1].accuracy, -one[1].milliseconds))
        self.say(f"{way}: the most accurate, training on")
        last = self._last(best, whole, FIRST_WAY + len(SHARES))
        return [*done, *tried, (f"{way}, trained on", last)]

    def _head(self) -> Step:
        """A new last layer on features that stay as they are."""
        architecture = self.given.form_for(self.data.input_shape, self.data.classes)

        def decide() -> Decided:
            self.say(f"{self.given.title}: measuring it in float, then training a head for {self.data.name}")
            torch.manual_seed(self._seed(HEAD))
            module = build(architecture)
            self.given.start(module)
            return self._decided(architecture, module.eval())

        return self.steps.run(HEAD, decide, self._begin_head, self.on_epoch)

    def _begin_head(self, module: "nn.Module") -> Training:
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name not in self._taken)
        recipe = replace(self.recipe, peak_rate=self._rate)
        return Training(module, self.data, self.request.part(HEAD_SHARE), self._seed(HEAD), recipe)

    def _whole(self, head: Step) -> Step:
        """The float network, all of it trained; what was taken over learns at a tenth of the rate."""

        def decide() -> Decided:
            self.say("training all layers in float")
            return self._decided(head.architecture, head.module, head)

        def begin(module: "nn.Module") -> Training:
            recipe = replace(self.recipe, peak_rate=self._rate)
            epochs, seed = self.request.epochs, self._seed(FLOAT)
            return Training(module, self.data, epochs, seed, recipe, trained_before=self._taken)

        return self.steps.run(FLOAT, decide, begin, self.on_epoch)

    def _tried(self, whole: Step) -> list[tuple[str, Step]]:
        """A network within the budget by each way, trained for a while."""
        known, tried = _Known(self, whole), list[tuple[str, Step]]()
        for number, way in enumerate(SHARES, start=FIRST_WAY):
            digests = {step.architecture.digest: step.number for _, step in tried}
            decide = partial(self._compressed, known, way, digests)
            begin = partial(self._begin_taught, whole, number, self.request.part(TRIAL_SHARE))
            try:
                tried.append((way, self.steps.run(number, decide, begin, self.on_epoch)))
            except InfeasibleStepError as error:
                self.say(f"{way}: {error}")
        if not tried:
            self.steps.end("nothing is within the budget")
            name = "max_latency_ms" if self.request.budget.max_latency_ms is not None else "max_size_kb"
            problem = f": nothing that is left of the network is within {self.request.budget}; give more"
            raise NothingFitsError(Parameter(name), problem)
        return tried

    def _compressed(self, known: "_Known", way: str, digests: dict[str, int]) -> Decided:
        """What one way leads to.

        Raises:
            InfeasibleStepError: to nothing within the budget, or to what another way has led to.
        """
        self.say(f"{way}: choosing for {self.request.budget}")
        network = known.found
        with self.showing() as show:
            found = compress(network, way, self.request.budget, self.model, self.say, show)
        digest = found.architecture.digest
        if digest in digests:
            raise InfeasibleStepError(f"it leads to the network of trial {digests[digest]}")
        calibrate(found.module, self.data.train)
        right = accuracy(found.module, self.data.validation)
        self.say(
            f"{way}: {milliseconds(found.measured.milliseconds)} ms, "
            f"{kilobytes(size(found.architecture).kilobytes)} kB, accuracy {right:.2%}; training"
        )
        cost = cost_of(self.model, found.architecture)
        return Decided(found.architecture, found.module, right, cost, found.measured, (FLOAT,))

    def _last(self, best: Step, whole: Step, number: int) -> Step:
        """The best of these networks, trained on for as long as the float one was."""

        def decide() -> Decided:
            return self._decided(best.architecture, best.module, best)

        begin = partial(self._begin_taught, whole, number, self.request.epochs)
        return self.steps.run(number, decide, begin, self.on_epoch)

    def _begin_taught(self, whole: Step, number: int, epochs: int, module: "nn.Module") -> Training:
        """A training on, with the float network as its teacher (Hinton et al., 2015)."""
        share = self.request.distillation
        recipe = replace(self.recipe, peak_rate=self._rate * FINE_RATE, distillation=share)
        teacher = copy.deepcopy(whole.module) if share else None
        return Training(module, self.data, epochs, self._seed(number), recipe, teacher)

    def _decided(self, architecture: Buildable, module: "nn.Module", before: Step | None = None) -> Decided:
        """A network that is trained on as it is."""
        with self.showing() as show:
            latencies(self.model, [architecture], show)
        return Decided(
            architecture,
            module,
            accuracy(module, self.data.validation),
            cost_of(self.model, architecture),
            measured(self.model, module, architecture),
            () if before is None else (before.number,),
        )

    @cached_property
    def _taken(self) -> set[str]:
        """The parameters of the float network that are taken over from the given weights."""
        module = build(self.given.form_for(self.data.input_shape, self.data.classes))
        return self.given.start(module)

    @property
    def _rate(self) -> float:
        return self.recipe.peak_rate if self.request.rate is None else self.request.rate

    def _seed(self, number: int) -> int:
        return training_seed(self.request.seed, number)


def best(done: Sequence[tuple[str, Step]], budget: Budget, images: int) -> Step:
    """The step to export: the latest within the budget that is not clearly worse than another.

    Clearly is by more than one standard error of the best accuracy (Breiman et al., *Classification and
    Regression Trees*, 1984, section 3.4.3), as few validation images say little; training on rarely harms.

    Args:
        done: all steps.
        budget: what they may take.
        images: of the validation split.
    """
    within = [step for _, step in done if budget.holds(step.milliseconds, step.architecture)]
    highest = max(step.accuracy for step in within)
    error = math.sqrt(highest * (1 - highest) / max(1, images))
    return [step for step in within if step.accuracy >= highest - error][-1]


@dataclass
class _Known:
    """What ways into the budget go by, found when the first of them asks."""

    adapting: Adapting
    whole: Step

    @cached_property
    def found(self) -> Known:
        from nas.adapting.precisions import starts
        from nas.pruning.importance import criteria
        from search_spaces.pruning.couplings import couplings
        from search_spaces.sizing import layers

        adapting, module, architecture = self.adapting, self.whole.module, self.whole.architecture
        channels = couplings(module, architecture.input_shape)
        train = adapting.data.train
        adapting.say("finding how much channels and precisions matter")
        scores = criteria.get("taylor")(module, channels, train)
        own = adapting.given.own_precisions()
        names = tuple(dict.fromkeys((*adapting.request.precisions, *own.values())))
        macs = sum(layer.macs for layer in layers(module, architecture.input_shape))
        with adapting.showing() as show:
            found = sensitivities(module, names, train, macs, partial(show, "precisions of layers"))
        begins = [*starts(found, adapting.request.precisions), *([own] if own else [])]
        return Known(architecture, module, channels, scores, found, begins)

"""The networks of steps: as they are decided, and as the ledger has them once they are complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.ledger.entries import Cost, EpochRecord
from nas.ledger.mistakes import Predictions
from nas.ledger.records import TrialRecord
from search_spaces.architecture import Buildable, read_architecture
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from torch import nn

    from latency import LatencyModel, Measurement
    from nas.ledger.store import Ledger

BEFORE_TRAINING = "accuracy_before_training"
"""Reported beside a step's first epoch: the accuracy on the validation split of what it began with, 0..1."""


@dataclass(frozen=True)
class Decided:
    """What a step is to be.

    Attributes:
        architecture: of the network.
        module: the network with the weights that it begins with, or has in the end where it is not trained.
        accuracy: of that on the validation split, 0..1.
        cost: what it costs by prediction.
        measured: the time of the whole network.
        parents: the numbers of the trials that it comes from.
        epochs: how many it is trained, or was.
        same_as: the trial of another search, as SEARCH/NUMBER, whose network it is.
        predictions: what a network that is not trained here gets wrong, where that is known.
    """

    architecture: Buildable
    module: "nn.Module"
    accuracy: float
    cost: Cost
    measured: "Measurement"
    parents: tuple[int, ...] = ()
    epochs: int | None = None
    same_as: str | None = None
    predictions: Predictions | None = None


@dataclass(frozen=True)
class Step:
    """A step that is complete, as the ledger has it.

    Attributes:
        trial: its record.
        architecture: of the network.
        module: the network with its weights, on the CPU, in evaluation mode.
        history: the epochs of its training; none where it was not trained here.
    """

    trial: TrialRecord
    architecture: Buildable
    module: "nn.Module"
    history: Sequence[EpochRecord]

    @property
    def number(self) -> int:
        """Of its trial."""
        return self.trial.number

    @property
    def accuracy(self) -> float:
        """On the validation split, 0..1."""
        return self.trial.accuracy or 0.0

    @property
    def milliseconds(self) -> float:
        """The measured time of the whole network."""
        return self.trial.measured_latency_ms or 0.0

    @property
    def before_training(self) -> float | None:
        """The accuracy of what the training began with; None where there was none."""
        return self.history[0].reported.get(BEFORE_TRAINING) if self.history else None


def network_of(ledger: "Ledger", search: str, number: int) -> Step:
    """The network of a complete trial.

    Raises:
        InvalidInput: there is no such trial.
        BitnasError: the ledger has no weights of it.
    """
    from nas.training.loop import load_weights
    from search_spaces.builder import build

    trial, weights = ledger.trial(search, number), ledger.weights(search, number)
    if weights is None or trial.architecture is None:
        raise BitnasError(
            f"trial {number} of '{search}': the ledger has no weights of it; import it with them"
        )
    architecture = read_architecture(trial.architecture)
    module = build(architecture)
    load_weights(module, weights)
    return Step(trial, architecture, module.eval(), ledger.epochs(search, number))


def cost_of(model: "LatencyModel", architecture: Buildable) -> Cost:
    """What an architecture costs by prediction; kernels that are not known are measured."""
    from nas.measuring.bench import predicted
    from nas.trials.costing import costs_of
    from search_spaces.sizing import size

    found = predicted(model.predict(architecture))
    return Cost(
        latency_ms=found.milliseconds,
        size_kb=size(architecture).kilobytes,
        latency_by_workload=found.by_workload,
        estimated=list(found.estimated),
        latency_low_ms=found.low,
        latency_high_ms=found.high,
        costs=costs_of(architecture),
    )


def measured(model: "LatencyModel", module: "nn.Module", architecture: Buildable) -> "Measurement":
    """The time of a whole network on a model's device."""
    network = model.compile(module, (1, *architecture.input_shape))
    return model.networks.measure([network])[0]

"""The contract of an evaluator: what a trial runs to learn what an architecture is worth."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from search_spaces.registry import Registry
from search_spaces.search_space import Candidate

if TYPE_CHECKING:
    from nas.data import DataSet
    from nas.ledger.mistakes import Predictions
    from nas.ledger.records import SearchConfig


class PrunedError(Exception):
    """The search has ended or paused this evaluation; let it pass through."""


class Report(Protocol):
    """What an evaluation tells as it goes, and is given.

    Attributes:
        seed: for everything that is random in it.
        checkpoint: what an earlier run of this evaluation kept before it was paused; None: start anew.
        weights: set it to a trained network's tensors, as a safetensors file, to have them kept.
        predictions: set it to what that network gets wrong on the validation split, to have it kept.
    """

    seed: int
    checkpoint: bytes | None
    weights: bytes | None
    predictions: "Predictions | None"

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """A step is done, counted from 1: an epoch, mostly; step 0 tells what is known before training.

        ``values`` are objectives by name, such as ``accuracy``, and may hold ``train_loss``.

        Raises:
            PrunedError: the search stops this evaluation here.
            ValueError: a value is not finite, or the step comes before an earlier one or after the budget.
        """

    def keep(self, checkpoint: Callable[[], bytes]) -> None:
        """How to get what a later run goes on from, should the evaluation be paused at the next report."""

    def check(self) -> None:
        """Call it often: it gives way to measurements, and raises when the worker is to stop."""


class Evaluator(ABC):
    """Evaluates the architectures of one search; each worker has an instance of its own.

    Threads: one thread makes all calls. Errors: what ``evaluate`` raises fails the trial with that message.
    The same architecture, budget and seed should give the same values.

    Attributes:
        objectives: the names of those that it reports, ``accuracy`` among them if it does.
    """

    objectives: tuple[str, ...] = ("accuracy",)

    def costs(self, architecture: Candidate) -> Mapping[str, float]:
        """What an architecture costs, by objective, where that is known before it is trained and cheap."""
        return {}

    @abstractmethod
    def evaluate(self, architecture: Candidate, budget: int, report: Report) -> Mapping[str, float]:
        """The values of the objectives, by name.

        Args:
            architecture: what the search's space has proposed.
            budget: how long to train: epochs, or whatever the unit is.
            report: to be called after each step of ``budget``.
        """


@dataclass(frozen=True)
class Task:
    """What an evaluator is made for: the search's settings, and its data, if it has any."""

    config: "SearchConfig"
    data: "DataSet | None"


EvaluatorFactory = Callable[[Task], Evaluator]
evaluators: Registry[EvaluatorFactory] = Registry(
    "evaluator", "evaluators", homes=("nas.evaluators.training",)
)

"""When to stop training a trial early."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import median

from nas.ledger.records import TrialRecord
from search_spaces.registry import Registry


class Pruner(ABC):
    """Decides after each epoch whether a trial goes on. Holds no state; any number of workers ask it."""

    @abstractmethod
    def should_prune(self, accuracy: float, rivals: Sequence[float]) -> bool:
        """Whether to stop a trial.

        Args:
            accuracy: the trial's validation accuracy after this epoch, 0..1.
            rivals: the accuracies after the same epoch of the complete trials that cost no more, neither
                in latency nor in size. A trial that is cheaper than all others has none: it may be on the
                front however inaccurate it is.
        """


class NeverPrune(Pruner):
    """Trains every trial to the end."""

    def should_prune(self, accuracy: float, rivals: Sequence[float]) -> bool:
        """Never."""
        return False


class MedianPruner(Pruner):
    """Stops a trial that is below the median of its rivals, once there are ``warm_up`` of them."""

    def __init__(self, warm_up: int = 4) -> None:
        self._warm_up = warm_up

    def should_prune(self, accuracy: float, rivals: Sequence[float]) -> bool:
        """Whether ``accuracy`` is below the median of ``rivals``."""
        return len(rivals) >= self._warm_up and accuracy < median(rivals)


pruners: Registry[Pruner] = Registry("pruner", "pruners")
pruners.add("none", NeverPrune())
pruners.add("median", MedianPruner())


def rivals(latency_ms: float, size_kb: float, trials: Sequence[TrialRecord]) -> set[int]:
    """The numbers of the trials that are no slower and no larger."""
    return {
        trial.number
        for trial in trials
        if trial.latency_ms is not None
        and trial.latency_ms <= latency_ms
        and trial.size_kb is not None
        and trial.size_kb <= size_kb
    }

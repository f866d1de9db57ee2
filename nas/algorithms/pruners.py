"""When to stop training a trial early."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import median

from nas.ledger.records import SearchConfig, TrialRecord
from nas.objectives import Figures, Objective, objective
from search_spaces.registry import Registry


class Pruner(ABC):
    """Decides after each epoch whether a trial goes on. Holds no state; any number of workers ask it."""

    @abstractmethod
    def should_prune(self, accuracy: float, rivals: Sequence[float]) -> bool:
        """Whether to stop a trial.

        Args:
            accuracy: the trial's validation accuracy after this epoch, 0..1.
            rivals: the accuracies after the same epoch of the complete trials that cost no more in any of the
                search's objectives. A trial that is cheaper than all others has none: it may be on the
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


def rivals(trial: Figures, config: SearchConfig, trials: Sequence[TrialRecord]) -> set[int]:
    """The numbers of the trials that cost no more, in any objective of the search known before training."""
    known = [o for o in map(objective, config.objectives) if o.is_known_before_training]
    own = _losses(known, trial)
    return {
        other.number
        for other in trials
        if all(
            mine is not None and its is not None and its <= mine
            for mine, its in zip(own, _losses(known, other), strict=True)
        )
    }


def _losses(named: Sequence[Objective], trial: Figures) -> list[float | None]:
    found = [(o, o.of(trial)) for o in named]
    return [None if value is None else o.loss(value.value) for o, value in found]

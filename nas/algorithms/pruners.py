"""When to stop training a trial early: the contract of pruners, and those that pause nothing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from nas.ledger.records import SearchConfig
from search_spaces.registry import Registry


@dataclass(frozen=True)
class Standing:
    """How a trial stood after some epoch.

    Attributes:
        number: the trial's.
        costs: the objectives of the search that are known before training, so that less is better.
        learned: the others, one at least, as they were after that epoch; likewise.
        is_complete: whether it was trained to the end.
    """

    number: int
    costs: tuple[float, ...]
    learned: tuple[float, ...]
    is_complete: bool = False

    @property
    def losses(self) -> tuple[float, ...]:
        """All of them."""
        return self.costs + self.learned


class Pruner(ABC):
    """Decides after some epochs which trials of a search go on.

    Holds no state: any number of workers has one, and each is asked with what the ledger holds.

    Attributes:
        pauses: whether a trial that does not go on is paused. It is then asked for again, as others get as
            far, and goes on from there once it is among those that do. Else it is stopped for good.
    """

    pauses = False

    @abstractmethod
    def rungs(self, number: int) -> tuple[int, ...]:
        """After which epochs trial ``number`` is judged, ascending; after its last it is not."""

    @abstractmethod
    def go_on(self, asked: Sequence[Standing], seen: Sequence[Standing], *, closing: bool) -> set[int]:
        """The numbers of those that go on.

        Args:
            asked: the trials to judge, all after the same epoch: one that is running, or all that are paused.
            seen: every trial that was trained as far, those among them, as it stood after that epoch.
            closing: whether nobody else will get there: all trials were begun, and none is on its way.
        """


class NeverPrune(Pruner):
    """Trains every trial to the end."""

    def rungs(self, number: int) -> tuple[int, ...]:
        """None."""
        return ()

    def go_on(self, asked: Sequence[Standing], seen: Sequence[Standing], *, closing: bool) -> set[int]:
        """All."""
        return {trial.number for trial in asked}


class MedianPruner(Pruner):
    """Stops a trial that is behind the median of its rivals, once there are ``warm_up`` of them.

    Its rivals are the complete trials that cost no more in any objective known before training. A trial that
    is cheaper than all others has none: it may be on the front however inaccurate it is. Where training tells
    more than the accuracy, it is stopped if it is behind in all of that.
    """

    def __init__(self, epochs: int, warm_up: int = 4) -> None:
        self._epochs, self._warm_up = epochs, warm_up

    def rungs(self, number: int) -> tuple[int, ...]:
        """Every epoch."""
        return tuple(range(1, self._epochs))

    def go_on(self, asked: Sequence[Standing], seen: Sequence[Standing], *, closing: bool) -> set[int]:
        """Those that are not behind the median."""
        return {trial.number for trial in asked if self._is_fit(trial, seen)}

    def _is_fit(self, trial: Standing, seen: Sequence[Standing]) -> bool:
        rivals = [other.learned for other in seen if other.is_complete and _is_rival(other, trial)]
        if len(rivals) < self._warm_up:
            return True
        return any(mine <= median(its) for mine, *its in zip(trial.learned, *rivals, strict=True))


def _is_rival(other: Standing, trial: Standing) -> bool:
    """Whether it costs no more in anything."""
    cheaper = (its <= mine for its, mine in zip(other.costs, trial.costs, strict=True))
    return other.number != trial.number and all(cheaper)


NONE = "none"
"""Of a search that stops nothing early."""

PrunerFactory = Callable[[SearchConfig], Pruner]
HOMES = ("nas.algorithms.halving",)
pruners: Registry[PrunerFactory] = Registry("pruner", "pruners", HOMES)
"""Makes the pruner of a search from its settings."""

pruners.add(NONE, lambda _: NeverPrune())
pruners.add("median", lambda config: MedianPruner(config.epochs))

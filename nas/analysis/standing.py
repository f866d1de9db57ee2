"""How a search stands: its best value, its front and the hypervolume, kept up to date by what has changed."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from nas.algorithms.hypervolume import hypervolume, non_dominated
from nas.analysis.pareto import MARGIN, MOST_OBJECTIVES
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import Objective, objective

Losses = tuple[float, ...]
"""A trial's objectives, each so that less is better."""
Floats = npt.NDArray[np.float64]


class Standing:
    """The complete trials of a search within its limits, and what they amount to.

    Attributes:
        config: the search's; whoever knows a later one, such as one whose relative limits are known, sets it.
        front: the numbers of those that no other beats, with their losses.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        self._objectives = [objective(name) for name in config.objectives]
        self._losses: dict[int, Losses] = {}
        self._lowest = self._highest = np.empty(0)
        self._hypervolume: float | None = None
        self.front: dict[int, Losses] = {}

    def take_all(self, trials: Iterable[TrialRecord]) -> None:
        """Take in trials that have changed; the first ones at once, which one by one would take long."""
        if self._losses:
            for trial in trials:
                self.take(trial)
            return
        known = {trial.number: self._losses_of(trial) for trial in trials}
        self._losses = {number: losses for number, losses in known.items() if losses is not None}
        self._count_again()

    def take(self, trial: TrialRecord) -> None:
        """Take in a trial that has changed."""
        if (losses := self._losses_of(trial)) != self._losses.get(trial.number):
            self._change(trial.number, losses)

    @property
    def best(self) -> float | None:
        """The best value of the first objective; None before a trial is complete."""
        if not self.front:
            return None
        return self._first.loss(min(losses[0] for losses in self.front.values()))

    @property
    def told_best(self) -> str:
        """The same with its unit."""
        return self._first.told(self.best)

    @property
    def hypervolume(self) -> float | None:
        """The share that the front dominates of the box between the best values and a reference.

        Of the trials so far what ``nas pareto`` tells: the reference is a tenth of the range beyond the worst
        complete trial, in each objective. None before there is a range, of one objective, and of more than
        three.
        """
        if not self.front or not 1 < len(self._objectives) <= MOST_OBJECTIVES:
            return None
        if self._hypervolume is None:
            self._hypervolume = self._share()
        return self._hypervolume

    def _share(self) -> float | None:
        span = self._highest - self._lowest
        if not (span > 0).all():
            return None
        reference = self._highest + MARGIN * span
        front = hypervolume(list(self.front.values()), reference)
        return front / float(np.prod(reference - self._lowest))

    @property
    def _first(self) -> Objective:
        return self._objectives[0]

    def _losses_of(self, trial: TrialRecord) -> Losses | None:
        """None where it is not complete, lacks a value, or is over a limit after all."""
        if trial.state is not TrialState.COMPLETE or self.config.broken(trial):
            return None
        values = [(o, o.of(trial)) for o in self._objectives]
        known = [o.loss(v.value) for o, v in values if v is not None]
        return tuple(known) if len(known) == len(values) else None

    def _change(self, number: int, losses: Losses | None) -> None:
        """A trial has got other losses than it had, or none any more."""
        was_known = self._losses.pop(number, None) is not None
        if losses is not None:
            self._losses[number] = losses
        if was_known:  # rare: its kernels were estimated, and have been measured
            self._count_again()
        elif losses is not None:
            self._join(number, losses)
            self._widen(np.array([losses]))

    def _join(self, number: int, losses: Losses) -> None:
        """Put a new trial on the front, if none beats it, in the place of those that it beats."""
        if any(_dominates(other, losses) for other in self.front.values()):
            return
        self.front = {n: other for n, other in self.front.items() if not _dominates(losses, other)}
        self.front[number] = losses
        self._hypervolume = None

    def _count_again(self) -> None:
        numbers, losses = list(self._losses), list(self._losses.values())
        is_best = non_dominated(np.array(losses).reshape(-1, len(self._objectives)))
        self.front = {numbers[i]: losses[i] for i in np.flatnonzero(is_best)}
        self._lowest = self._highest = np.empty(0)
        self._hypervolume = None
        if losses:
            self._widen(np.array(losses))

    def _widen(self, losses: Floats) -> None:
        """Take (n, objectives) into the range."""
        known = [losses, self._lowest[None], self._highest[None]] if len(self._lowest) else [losses]
        together = np.concatenate(known)
        lowest, highest = together.min(axis=0), together.max(axis=0)
        if not (np.array_equal(lowest, self._lowest) and np.array_equal(highest, self._highest)):
            self._lowest, self._highest, self._hypervolume = lowest, highest, None


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))

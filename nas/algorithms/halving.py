"""Successive halving with several objectives: who is promoted to the next rung, and brackets."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from nas.algorithms.pruners import Pruner, Standing, pruners
from nas.rungs import rungs

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig

ETA = 3
"""One of so many is promoted at each rung, to a training of so many times as many epochs."""


class Halving(Pruner):
    """Asynchronous successive halving by dominance (MO-ASHA: Schmucker et al. 2021, *Multi-objective
    asynchronous successive halving*).

    A trial goes on while it is among the best third of those seen at its rung, by the rank of its front and
    then by crowding. Else it is paused until others make it so. Once nobody else will come, the whole first
    front goes on, however many that are: the search is for a front, which one in 27 of its trials is not.
    """

    pauses = True

    def __init__(self, epochs: int, eta: int = ETA) -> None:
        self._rungs, self._eta = rungs(epochs, eta)[:-1], eta

    def rungs(self, number: int) -> tuple[int, ...]:
        """The third part of all epochs, the ninth, and so on down to 1."""
        return self._rungs

    def go_on(self, asked: Sequence[Standing], seen: Sequence[Standing], *, closing: bool) -> set[int]:
        """Those among the best."""
        chosen = promoted(seen, self._eta, closing=closing)
        return {trial.number for trial in asked} & chosen


class Hyperband(Pruner):
    """Brackets of ``Halving`` that begin at higher and higher rungs; the last stops nothing (Li et al. 2018,
    *Hyperband*). Each trial is in one, and is compared with those of its own.

    All brackets train about as many epochs: one of n rungs begins as many trials as brings that about.
    """

    pauses = True

    def __init__(self, epochs: int, eta: int = ETA) -> None:
        self._rungs, self._eta = rungs(epochs, eta), eta
        weights = [1 / self._cost(bracket) for bracket in range(len(self._rungs))]
        self._shares = [sum(weights[: end + 1]) / sum(weights) for end in range(len(weights))]

    def _cost(self, bracket: int) -> float:
        """Epochs that a trial of a bracket takes on average."""
        ends = (0, *self._rungs[bracket:])
        return sum(
            (end - begin) / self._eta**promotions for promotions, (begin, end) in enumerate(pairwise(ends))
        )

    def bracket(self, number: int) -> int:
        """The bracket of a trial: 0 has all rungs. Any run of trials is shared out as evenly as can be."""
        place = number * (math.sqrt(5) - 1) / 2 % 1  # multiples of the golden ratio fill 0..1 evenly
        return next((index for index, end in enumerate(self._shares) if place < end), len(self._shares) - 1)

    def rungs(self, number: int) -> tuple[int, ...]:
        """Those of its bracket."""
        return self._rungs[self.bracket(number) : -1]

    def go_on(self, asked: Sequence[Standing], seen: Sequence[Standing], *, closing: bool) -> set[int]:
        """Those among the best of their bracket."""
        found: set[int] = set()
        for bracket in {self.bracket(trial.number) for trial in asked}:
            own = [trial for trial in seen if self.bracket(trial.number) == bracket]
            found |= promoted(own, self._eta, closing=closing)
        return {trial.number for trial in asked} & found


def promoted(seen: Sequence[Standing], eta: int, *, closing: bool) -> set[int]:
    """The numbers of the best of those seen: one in ``eta``, rounded down.

    When ``closing``, it is rounded up, and the first front is promoted whole.
    """
    count = math.ceil(len(seen) / eta) if closing else len(seen) // eta
    ordered = sorted(seen, key=lambda trial: trial.number)
    return {ordered[index].number for index in best([t.losses for t in ordered], count, whole_front=closing)}


def best(losses: Sequence[Sequence[float]], count: int, *, whole_front: bool = False) -> list[int]:
    """The places of the ``count`` best of some points, by the rank of their front, then by crowding, then by
    place; all of the first front with ``whole_front``.
    """
    import numpy as np

    from nas.algorithms.hypervolume import crowding, non_dominated

    points = np.asarray(losses, dtype=np.float64)
    rest, chosen = np.arange(len(points)), list[int]()
    while len(chosen) < count:
        is_first = non_dominated(points[rest])
        front, rest = rest[is_first], rest[~is_first]
        crowded = np.argsort(-crowding(points[front]), kind="stable")
        room = len(front) if whole_front and not chosen else count - len(chosen)
        chosen += front[crowded[:room]].tolist()
    return chosen


@pruners.register("halving")
def _halving(config: "SearchConfig") -> Pruner:
    return Halving(config.epochs)


@pruners.register("hyperband")
def _hyperband(config: "SearchConfig") -> Pruner:
    return Hyperband(config.epochs)

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
FRONTS = 2
"""So many fronts of a rung are promoted whole, once nobody else will come."""


class Halving(Pruner):
    """Asynchronous successive halving by dominance (MO-ASHA: Schmucker et al. 2021, *Multi-objective
    asynchronous successive halving*).

    A trial goes on while it is among the best third of those seen at its rung, by the rank of its front and
    then by crowding. Else it is paused until others make it so. Once nobody else will come, the first two
    fronts go on whole, however many that are: the search is for a front, which one trial in 27 is not,
    and what is just behind the front of an early rung may be ahead in the end.
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
        spans = pairwise((0, *self._rungs[bracket:]))
        return sum((end - begin) / float(self._eta) ** place for place, (begin, end) in enumerate(spans))

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

    When ``closing``, it is rounded up, and the first fronts are promoted whole.
    """
    count = math.ceil(len(seen) / eta) if closing else len(seen) // eta
    ordered = sorted(seen, key=lambda trial: trial.number)
    places = best([trial.losses for trial in ordered], count, FRONTS if closing else 0)
    return {ordered[place].number for place in places}


def best(losses: Sequence[Sequence[float]], count: int, fronts: int = 0) -> list[int]:
    """The places of the best points, by the rank of their front, then by crowding, then by place: the first
    ``count``, and all of the first ``fronts`` fronts.
    """
    import numpy as np

    from nas.algorithms.hypervolume import crowding, non_dominated

    points = np.asarray(losses, dtype=np.float64)
    rest, rank, chosen = np.arange(len(points)), 0, list[int]()
    while len(rest) and (len(chosen) < count or rank < fronts):
        is_first = non_dominated(points[rest])
        front, rest = rest[is_first], rest[~is_first]
        crowded = np.argsort(-crowding(points[front]), kind="stable")
        room = len(front) if rank < fronts else count - len(chosen)
        chosen += front[crowded[:room]].tolist()
        rank += 1
    return chosen


@pruners.register("halving")
def _halving(config: "SearchConfig") -> Pruner:
    return Halving(config.epochs)


@pruners.register("hyperband")
def _hyperband(config: "SearchConfig") -> Pruner:
    return Hyperband(config.epochs)

"""Algorithms that change a few choices of what has been good: local search, and evolution with ageing."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nas.algorithms.base import algorithms
from nas.algorithms.drawing import Drawing, follow, mutant
from nas.algorithms.points import Drawn, Point, Seen
from nas.algorithms.ranking import best, front, population
from search_spaces.search_space import Option

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig
    from search_spaces.search_space import SearchSpace

_PARENTS = 50
_CHILDREN = 300


class LocalSearch(Drawing):
    """Mutates one or two choices of a member of the front, the least mutated member first.

    Which trials are whose mutants is not read from the ledger, so that any history will do: each counts as
    that of the nearest member among those before it.
    """

    def draw(self, seen: Seen, seed: int) -> Drawn:
        """A mutant; a uniform draw while there is no front."""
        random = Random(seed)  # noqa: S311 - for sampling, not for secrets
        members = [point for point in front(seen.ended)[:_PARENTS] if point.params]
        if not members:
            return follow(self.space, {}, random)
        mutants = _mutants(members, [*seen.ended[-_CHILDREN:], *seen.pending])
        parent = min(members, key=lambda point: (mutants[point.number], point.number))
        changes = 1 + int(random.random() * 2)
        return mutant(self.space, parent.params or {}, changes, random, (parent.number,))


def _mutants(members: Sequence[Point], children: Sequence[Point]) -> dict[int, int]:
    """How many mutants each member has, by its number."""
    ordered = sorted(members, key=lambda member: member.number)
    column = {item: place for place, item in enumerate({i for m in ordered for i in m.choices.items()})}
    common = _marked(children, column) @ _marked(ordered, column).T  # (children, members)
    distances = _counts(children)[:, None] + _counts(ordered) - 2 * common
    distances[_numbers(children)[:, None] <= _numbers(ordered)] = np.inf
    has_parent = np.isfinite(distances).any(axis=1)
    found = np.bincount(distances[has_parent].argmin(axis=1), minlength=len(ordered))
    return dict(zip(_numbers(ordered).tolist(), found.tolist(), strict=True))


def _marked(points: Sequence[Point], column: Mapping[tuple[str, Option], int]) -> npt.NDArray[np.float32]:
    """Which choices points have, 1 in the column of each (n, c); those without a column are left out."""
    found = np.zeros((len(points), len(column)), dtype=np.float32)
    for row, point in zip(found, points, strict=True):
        row[[column[item] for item in point.choices.items() if item in column]] = 1.0
    return found


def _counts(points: Sequence[Point]) -> npt.NDArray[np.float32]:
    return np.array([len(point.choices) for point in points], dtype=np.float32)


def _numbers(points: Sequence[Point]) -> npt.NDArray[np.int64]:
    return np.array([point.number for point in points], dtype=np.int64)


class Evolution(Drawing):
    """Regularized evolution (Real et al. 2019, *Regularized evolution for image classifier architecture
    search*), with several objectives.

    The population are the trials that ended last: whoever is good, too, dies of age. The best of a random
    half of it, by front and then by crowding, is mutated in one choice.
    """

    def __init__(self, space: "SearchSpace", config: "SearchConfig") -> None:
        super().__init__(space, config)
        self._population = population(config.trials)

    def draw(self, seen: Seen, seed: int) -> Drawn:
        """A mutant; a uniform draw until there is a population."""
        random = Random(seed)  # noqa: S311 - for sampling, not for secrets
        living = [point for point in seen.ended[-self._population :] if point.params]
        if len(living) < self._population:
            return follow(self.space, {}, random)
        place = {point.number: place for place, point in enumerate(best(living, len(living)))}
        chosen = random.sample(living, self._population // 2)
        winner = min(chosen, key=lambda point: place[point.number])
        return mutant(self.space, winner.params or {}, 1, random, (winner.number,))


algorithms.add("local", LocalSearch)
algorithms.add("evolution", Evolution)

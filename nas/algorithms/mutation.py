"""Algorithms that change a few choices of what has been good: local search, and evolution with ageing."""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from nas.algorithms.base import algorithms
from nas.algorithms.drawing import Drawing, follow, mutant
from nas.algorithms.points import Drawn, Point, Seen
from nas.algorithms.ranking import best, front, population

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig
    from search_spaces.search_space import SearchSpace

_PARENTS = 50
_CHILDREN = 300


class LocalSearch(Drawing):
    """Mutates one or two choices of a member of the front, the least mutated member first.

    Nobody notes whose mutant a trial is: it counts as that of the nearest member among those before it.
    """

    def draw(self, seen: Seen, seed: int) -> Drawn:
        """A mutant; a uniform draw while there is no front."""
        random = Random(seed)  # noqa: S311 - for sampling, not for secrets
        members = [point for point in front(seen.ended)[:_PARENTS] if point.params]
        if not members:
            return follow(self.space, {}, random)
        mutants = _mutants(members, [*seen.ended[-_CHILDREN:], *seen.pending])
        parent = min(members, key=lambda point: (mutants[point.number], point.number))
        return mutant(self.space, parent.params or {}, 1 + int(random.random() * 2), random)


def _mutants(members: Sequence[Point], children: Sequence[Point]) -> dict[int, int]:
    """How many mutants each member has, by its number."""
    found = {member.number: 0 for member in members}
    choices = {member.number: frozenset(member.choices.items()) for member in members}
    for child in children:
        own = frozenset(child.choices.items())
        earlier = [number for number in found if number < child.number]
        if earlier:
            found[min(earlier, key=lambda number: (len(own ^ choices[number]), number))] += 1
    return found


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
        return mutant(self.space, winner.params or {}, 1, random)


algorithms.add("local", LocalSearch)
algorithms.add("evolution", Evolution)

"""Algorithms that draw one architecture after another until one is new; and how architectures are drawn."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from nas.algorithms.base import Algorithm, Proposal
from nas.algorithms.points import Drawn, Memory, Params, Seen
from nas.algorithms.walk import Walk
from search_spaces.errors import ExhaustedError
from search_spaces.search_space import Option, SearchSpace

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig, TrialRecord

# When all that an algorithm draws is known: mutants of its last, with so many choices changed, then as many
# uniform draws, then the first architecture of a walk through the whole space that is not known.
_CHANGES = (1, 1, 1, 1, 2, 2, 3, 4)
_UNIFORM = 10


class Proposing(Algorithm):
    """Proposes the first of its candidates that is new, and anything new where none of them is."""

    def __init__(self, space: SearchSpace, config: "SearchConfig") -> None:
        self.space, self.config = space, config
        self._memory = Memory(space, config)
        self._walk = Walk(space, config.seed)

    def ask(
        self,
        number: int,
        history: "Sequence[TrialRecord]",
        passed_over: "Sequence[TrialRecord]" = (),
    ) -> Proposal:
        """The first candidate that is not known."""
        seen = self._memory.look(number, history, passed_over)
        for drawn in self.candidates(seen):
            if drawn.digest not in seen.known:
                return Proposal(drawn.choices, parents=drawn.parents)
        found = self._walk.first_beside(seen.known)
        if found is None:
            raise ExhaustedError(f"every architecture of the space '{self.space.name}' has been proposed")
        return Proposal(found.choices)

    @abstractmethod
    def candidates(self, seen: Seen) -> Iterator[Drawn]:
        """Some architectures, the preferred one first; they may be known."""


class Drawing(Proposing):
    """Draws up to ``tries`` times; if all of these are known, it looks near the last one, then anywhere."""

    tries = 3

    @abstractmethod
    def draw(self, seen: Seen, seed: int) -> Drawn:
        """An architecture; another seed gives another one, where the algorithm leaves anything to chance."""

    def candidates(self, seen: Seen) -> Iterator[Drawn]:
        """What is drawn, then mutants of the last, then uniform draws."""
        for attempt in range(self.tries):
            drawn = self.draw(seen, seen.seed_of(attempt))
            yield drawn
        random = Random(seen.seed_of(self.tries))  # noqa: S311 - for sampling, not for secrets
        for changes in _CHANGES:
            yield mutant(self.space, drawn.params, changes, random, drawn.parents)
        for _ in range(_UNIFORM):
            yield follow(self.space, {}, random)


def follow(space: SearchSpace, wanted: Mapping[str, Option], random: Random) -> Drawn:
    """The architecture of the wanted choices, with a uniform one for each that is not, or cannot be, had."""
    params: Params = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        chosen = wanted.get(name)
        if chosen is None or chosen not in options:
            chosen = options[int(random.random() * len(options))]
        params[name] = chosen, options
        return chosen

    return Drawn(params, space.propose(choose).digest)


def mutant(
    space: SearchSpace, params: Params, changes: int, random: Random, parents: tuple[int, ...]
) -> Drawn:
    """An architecture with other options for so many of the choices, and what follows from them.

    ``parents`` are the numbers of the trials that ``params`` come from.
    """
    open_names = [name for name, (_, options) in params.items() if len(options) > 1]
    wanted = {name: chosen for name, (chosen, _) in params.items()}
    for name in random.sample(open_names, min(changes, len(open_names))):
        chosen, options = params[name]
        others = [option for option in options if option != chosen]
        wanted[name] = others[int(random.random() * len(others))]
    return follow(space, wanted, random)._replace(parents=parents)

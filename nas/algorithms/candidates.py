"""What may be proposed: choices, and what they cost before training, computed once each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nas.algorithms.base import Choices, Screened
from nas.algorithms.genome import Genes, Genome
from search_spaces.errors import ExhaustedError
from search_spaces.search_space import SearchSpace, every

_MOST_KEPT, _MOST_LISTED = 20_000, 20_000
"""Candidates that are kept, and those of a space that are looked through before it counts as large."""


@dataclass(frozen=True)
class Candidate:
    """What may be proposed, what is known of it, and the numbers of the trials that it was bred from."""

    choices: Choices
    screened: Screened
    parents: tuple[int, ...] = ()


@dataclass
class Candidates:
    """The candidates of a space.

    Attributes:
        screen: tells what choices cost; None where nobody does, which leaves the digest.
    """

    space: SearchSpace
    genome: Genome
    screen: Callable[[Choices], Screened] | None = None

    def __post_init__(self) -> None:
        self._kept: dict[tuple[tuple[str, object], ...], Candidate] = {}

    def of(self, genes: Genes, random: np.random.Generator) -> Candidate:
        """That of one row of genes; what is no column of the genome is drawn."""
        return self._of_choices(self.genome.choices_of(genes, random))

    def first(
        self, genes: Iterable[Genes], taken: set[str | None], random: np.random.Generator
    ) -> Candidate | None:
        """The first that is not taken and within the limits; where there is none, one that is over them."""
        over = None
        for row in genes:
            one = self.of(row, random)
            if one.screened.digest not in taken and one.screened.over is None:
                return one
            over = over or (one if one.screened.digest not in taken else None)
        return over

    def listed(self, taken: set[str | None], random: np.random.Generator) -> Candidate:
        """The first of a small space that is not taken, and of a large one any.

        Raises:
            ExhaustedError: all are taken.
        """
        for index, choices in enumerate(every(self.space)):
            if index >= _MOST_LISTED:
                return self.of(self.genome.random_genes(1, random)[0], random)
            if (candidate := self._of_choices(choices)).screened.digest not in taken:
                return candidate
        raise ExhaustedError(f"every architecture of the space '{self.space.name}' was proposed")

    def _of_choices(self, choices: Choices) -> Candidate:
        key = tuple(choices.items())
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = Candidate(choices, self._screened(choices))
        return self._kept[key]

    def _screened(self, choices: Choices) -> Screened:
        if self.screen is not None:
            return self.screen(choices)
        return Screened(self.space.propose(lambda name, _: choices[name]).digest)

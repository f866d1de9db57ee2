"""The choices of a space as rows of whole numbers, so that thousands can be bred and compared."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nas.algorithms.base import Choices
from nas.algorithms.dormancy import Codes, Mask, Rule, learned
from search_spaces.search_space import Option, SearchSpace

Genes = npt.NDArray[np.int16]
"""Which option of each choice (n, c), from 0; a dormant choice has one, too, that may count in a child."""

DRAWS = 256
"""Architectures drawn to get to know a space."""


class Genome:
    """The choices of a space, each a column: those that came up in some draws.

    A name that is rarer than that is no column: it is drawn wherever it comes up.

    Attributes:
        names: of the columns, in an order in which they are asked for.
        options: of each column.
        sizes: how many options each column has (c,).
        is_ordered: whether a column's options are numbers, so that neighbours are alike.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self.names: list[str] = []
        self.options: list[tuple[Option, ...]] = []
        self._column: dict[str, int] = {}
        random = np.random.default_rng(seed)
        drawn = [self._drawn(random) for _ in range(DRAWS)]
        self.sizes = np.array([len(options) for options in self.options], dtype=np.int64)
        self._place = [{option: i for i, option in enumerate(options, 1)} for options in self.options]
        self.is_ordered = [
            len(options) > 2 and all(isinstance(option, int) for option in options)
            for options in self.options
        ]
        codes = np.stack([self._coded(choices) for choices in drawn])
        self._is_always_asked: Mask = np.asarray((codes > 0).all(axis=0))
        asked_by: dict[Rule, list[int]] = {}
        for column, rule in enumerate(learned(codes, self.sizes)):
            if not self._is_always_asked[column]:
                asked_by.setdefault(rule, []).append(column)
        self._asked_by = [(rule, np.array(columns)) for rule, columns in asked_by.items()]

    def _drawn(self, random: np.random.Generator) -> Choices:
        """Uniform choices; those that are new become columns."""
        choices: Choices = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            if name not in self._column:
                self._column[name] = len(self.names)
                self.names.append(name)
                self.options.append(options)
            choices[name] = options[int(random.integers(len(options)))]
            return choices[name]

        self._space.propose(choose)
        return choices

    def _coded(self, choices: Choices) -> Codes:
        row = np.zeros(len(self.names), dtype=np.int16)
        for name, option in choices.items():
            if name in self._column:
                row[self._column[name]] = self._place[self._column[name]][option]
        return row

    def codes_of(self, choices: Choices) -> Codes | None:
        """A row (c,); None for choices that the space no longer offers."""
        try:
            row = self._coded(choices)
        except KeyError:
            return None
        return row if (row[self._is_always_asked] > 0).all() else None

    def genes_of(self, codes: Codes, random: np.random.Generator) -> Genes:
        """Rows of codes (n, c) with random options where a choice is dormant."""
        return np.where(codes > 0, codes - 1, self.random_genes(len(codes), random)).astype(np.int16)

    def one_hot(self, codes: Codes) -> npt.NDArray[np.float32]:
        """A column for each code of each choice (n, sum of sizes + 1): 1 where a row has it."""
        starts = np.concatenate([[0], np.cumsum(self.sizes + 1)])
        found = np.zeros((len(codes), starts[-1]), dtype=np.float32)
        found[np.arange(len(codes))[:, None], starts[:-1] + codes] = 1.0
        return found

    def random_genes(self, count: int, random: np.random.Generator) -> Genes:
        """Uniform ones (n, c)."""
        return random.integers(self.sizes, size=(count, len(self.sizes)), dtype=np.int16)

    def expressed(self, genes: Genes) -> Codes:
        """The codes (n, c) of genes: by the learned rules, what a space would not ask for is dormant."""
        codes = (genes + 1).astype(np.int16)
        for rule, columns in self._asked_by:
            codes[:, columns] *= rule(codes)[:, None]
        return codes

    def choices_of(self, genes: Genes, random: np.random.Generator) -> Choices:
        """What a space asks for when it builds with genes (c,)."""
        choices: Choices = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            column = self._column.get(name)
            place = int(random.integers(len(options))) if column is None else int(genes[column])
            choices[name] = options[place]
            return choices[name]

        self._space.propose(choose)
        return choices

    def mutants(self, genes: Genes, codes: Codes, random: np.random.Generator) -> Genes:
        """Children (n, c) that differ from their parents in one to three choices that are not dormant."""
        keys = np.where((codes > 0) & (self.sizes > 1), random.random(genes.shape), 2.0)
        many = random.choice(3, size=len(genes), p=(0.6, 0.25, 0.15))
        cut = np.sort(keys, axis=1)[np.arange(len(genes)), np.minimum(many, keys.shape[1] - 1)]
        moved = genes + 1 + random.integers(np.maximum(self.sizes - 1, 1), size=genes.shape)
        return np.where((keys <= cut[:, None]) & (keys < 2.0), moved % self.sizes, genes).astype(np.int16)


def crossed(one: Genes, other: Genes, random: np.random.Generator) -> Genes:
    """Children (n, c) that have each gene from one parent or the other."""
    return np.where(random.random(one.shape) < 0.5, one, other)


def design(genome: Genome, count: int, seed: int, draws: int = 30) -> Genes:
    """A start (n, c) that fills the space: balanced over each choice's options, and far from each other.

    Of ``draws`` random ones, that with the largest least distance between two codes (maximin, Johnson et al.
    1990).
    """
    random = np.random.default_rng(seed)
    tried = [_balanced(genome.sizes, count, random) for _ in range(draws)]
    return max(tried, key=lambda genes: _least_distance(genome.expressed(genes)))


def _balanced(sizes: Sequence[int] | npt.NDArray[np.int64], count: int, random: np.random.Generator) -> Genes:
    columns = [random.permutation(np.resize(random.permutation(size), count)) for size in sizes]
    return np.stack(columns, axis=1).astype(np.int16)


def _least_distance(codes: Codes) -> tuple[int, int]:
    """The least distance of two rows, and how few pairs have it."""
    distances = (codes[:, None] != codes[None]).sum(axis=2)[np.triu_indices(len(codes), 1)]
    least = int(distances.min(initial=len(codes[0])))
    return least, -int((distances == least).sum())

"""Candidates by the thousand: children of the front, bred further towards what promises most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.algorithms.dormancy import Codes
from nas.algorithms.genome import Genes, Genome, crossed
from nas.algorithms.hypervolume import Floats

Parents = tuple[int, ...]
"""The numbers of trials that a candidate comes from, over all generations: none of a uniform draw."""
FIRST, LATER = (200, 80, 120), (90, 40, 15)
"""Mutants, crossings and uniform draws of the first generation and of each later one."""
GENERATIONS = 3
PARENTS = 60
"""Of each later generation: those of all before it that promise most."""


@dataclass(frozen=True)
class Bred:
    """Candidates (n, c), how much each promises (n,), and the numbers of the trials that each comes from."""

    genes: Genes
    codes: Codes
    promise: Floats
    parents: list[Parents]

    def with_more(self, more: "Bred") -> "Bred":
        """These and others."""
        return Bred(
            np.concatenate([self.genes, more.genes]),
            np.concatenate([self.codes, more.codes]),
            np.concatenate([self.promise, more.promise]),
            self.parents + more.parents,
        )

    def best(self, count: int) -> "Bred":
        """The most promising, the best one first."""
        order = np.argsort(-self.promise, kind="stable")[:count]
        parents = [self.parents[row] for row in order]
        return Bred(self.genes[order], self.codes[order], self.promise[order], parents)


@dataclass
class Breeder:
    """Breeds candidates that are not known yet.

    Attributes:
        promise: tells how good candidates (n, c) may be: (n,).
        known: the codes of what must not be proposed, as bytes.
    """

    genome: Genome
    promise: Callable[[Codes], Floats]
    known: set[bytes]
    random: np.random.Generator

    def breed(self, parents: Codes, numbers: Sequence[int]) -> Bred:
        """A few generations; ``numbers`` are those of the trials that the parents (n, c) are."""
        seen = set(self.known)
        genes, own = self.genome.genes_of(parents, self.random), [(number,) for number in numbers]
        bred = self._judged(*self._children(genes, parents, own, FIRST), seen)
        for _ in range(1, GENERATIONS):
            best = bred.best(PARENTS)
            if not len(best.genes):
                break
            more = self._judged(*self._children(best.genes, best.codes, best.parents, LATER), seen)
            bred = bred.with_more(more)
        return bred

    def _children(
        self, genes: Genes, codes: Codes, parents: Sequence[Parents], counts: tuple[int, int, int]
    ) -> tuple[Genes, list[Parents]]:
        """Mutants, crossings and uniform draws, and the trials that each comes from."""
        mutants, crossings, uniform = counts
        one = self.random.integers(len(genes), size=mutants)
        pairs = self.random.integers(len(genes), size=(2, crossings))
        children = np.concatenate(
            [
                self.genome.mutants(genes[one], codes[one], self.random),
                crossed(genes[pairs[0]], genes[pairs[1]], self.random),
                self.genome.random_genes(uniform, self.random),
            ]
        )
        both = [tuple(sorted({*parents[a], *parents[b]})) for a, b in pairs.T]
        return children, [*(parents[row] for row in one), *both, *[()] * uniform]

    def _judged(self, genes: Genes, parents: Sequence[Parents], seen: set[bytes]) -> Bred:
        """Those that are new, each once."""
        codes = self.genome.expressed(genes)
        new = []
        for row, key in enumerate(map(bytes, codes)):
            if key not in seen:
                seen.add(key)
                new.append(row)
        promise = self.promise(codes[new]) if new else np.zeros(0)
        return Bred(genes[new], codes[new], promise, [parents[row] for row in new])

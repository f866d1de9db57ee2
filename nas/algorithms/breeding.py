"""Candidates by the thousand: children of the front, bred further towards what promises most."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.algorithms.dormancy import Codes
from nas.algorithms.genome import Genes, Genome, crossed
from nas.algorithms.hypervolume import Floats

FIRST, LATER = (200, 80, 120), (90, 40, 15)
"""Mutants, crossings and uniform draws of the first generation and of each later one."""
GENERATIONS = 3
PARENTS = 60
"""Of each later generation: those of all before it that promise most."""


@dataclass(frozen=True)
class Bred:
    """Candidates (n, c), and how much each promises (n,)."""

    genes: Genes
    codes: Codes
    promise: Floats

    def with_more(self, more: "Bred") -> "Bred":
        """These and others."""
        return Bred(
            np.concatenate([self.genes, more.genes]),
            np.concatenate([self.codes, more.codes]),
            np.concatenate([self.promise, more.promise]),
        )

    def best(self, count: int) -> "Bred":
        """The most promising, the best one first."""
        order = np.argsort(-self.promise, kind="stable")[:count]
        return Bred(self.genes[order], self.codes[order], self.promise[order])


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

    def breed(self, parents: Codes) -> Bred:
        """A few generations."""
        seen = set(self.known)
        bred = self._judged(self._children(self.genome.genes_of(parents, self.random), parents, FIRST), seen)
        for _ in range(1, GENERATIONS):
            best = bred.best(PARENTS)
            if not len(best.genes):
                break
            more = self._judged(self._children(best.genes, best.codes, LATER), seen)
            bred = bred.with_more(more)
        return bred

    def _children(self, genes: Genes, codes: Codes, counts: tuple[int, int, int]) -> Genes:
        mutants, crossings, uniform = counts
        one = self.random.integers(len(genes), size=mutants)
        pairs = self.random.integers(len(genes), size=(2, crossings))
        return np.concatenate(
            [
                self.genome.mutants(genes[one], codes[one], self.random),
                crossed(genes[pairs[0]], genes[pairs[1]], self.random),
                self.genome.random_genes(uniform, self.random),
            ]
        )

    def _judged(self, genes: Genes, seen: set[bytes]) -> Bred:
        """Those that are new, each once."""
        codes = self.genome.expressed(genes)
        new = []
        for row, key in enumerate(map(bytes, codes)):
            if key not in seen:
                seen.add(key)
                new.append(row)
        return Bred(genes[new], codes[new], self.promise(codes[new]) if new else np.zeros(0))

"""A walk through the tree of a space's choices that meets every architecture, however many there are."""

from collections.abc import Container
from fractions import Fraction
from hashlib import blake2b

from nas.algorithms.points import Drawn, Params
from search_spaces.search_space import Option, SearchSpace


class Walk:
    """Leads from 0, 1, 2, ... to architectures, without counting or listing them.

    A node of the tree with r options sends the index i on to option (i + s) mod r with the index i div r: the
    choices are the digits of a number in a mixed radix, the first the fastest. The shift s is another one at
    each node, by a hash of the seed and the way to it, so that late choices vary from the start, too. Every
    way down has exactly one index of which nothing is left over in the end. The others lead to an
    architecture that a lower index has led to: a branch that ends early is met more often.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._found: list[Drawn] = []
        self._next, self._missing = 0, Fraction(1)

    def at(self, index: int) -> Drawn | None:
        """The architecture of an index; None where a lower one has led to it."""
        drawn, left_over = self._down(index)
        return None if left_over else drawn

    def first_beside(self, known: Container[object]) -> Drawn | None:
        """The first architecture that is not known; None where all are."""
        for drawn in self._found:
            if drawn.digest not in known:
                return drawn
        while self._missing:
            found = self.at(self._next)
            self._next += 1
            if found is None:
                continue
            self._found.append(found)
            self._missing -= _share(found.params)
            if found.digest not in known:
                return found
        return None

    def _down(self, index: int) -> tuple[Drawn, int]:
        """Where an index leads, and what is left over of it."""
        params: Params = {}
        way = str(self._seed).encode()

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            nonlocal index, way
            way = blake2b(way + name.encode(), digest_size=8).digest()
            chosen = options[(index + int.from_bytes(way)) % len(options)]
            index //= len(options)
            way += repr(chosen).encode()
            params[name] = chosen, options
            return chosen

        return Drawn(params, self._space.propose(choose).digest), index


def _share(params: Params) -> Fraction:
    """How often uniform choices lead to an architecture; the shares of all of them add up to 1."""
    share = Fraction(1)
    for _, options in params.values():
        share /= len(options)
    return share

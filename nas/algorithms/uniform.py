"""Algorithms that learn nothing: uniform draws, an even sequence, and every architecture in turn."""

import warnings
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from nas import seeds
from nas.algorithms.base import algorithms
from nas.algorithms.drawing import Proposing, follow
from nas.algorithms.points import Drawn, Params, Seen
from search_spaces.search_space import Option, SearchSpace

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig

_TRIES = 20


class Uniform(Proposing):
    """Uniform choices."""

    def candidates(self, seen: Seen) -> Iterator[Drawn]:
        """An option for each choice, each as likely as the others."""
        random = Random(seen.seed_of(0))  # noqa: S311 - for sampling, not for secrets
        for _ in range(_TRIES):
            yield follow(self.space, {}, random)


class QuasiRandom(Proposing):
    """A scrambled Sobol sequence: trial n takes its point n (Owen 1998, *Scrambling Sobol' and
    Niederreiter-Xing points*).

    The k-th choice on the way to an architecture takes the k-th coordinate, whatever its name, so that
    choices may depend on earlier ones. What is passed over is tried again at the same point with another
    scrambling.
    """

    _dimensions = 16

    def candidates(self, seen: Seen) -> Iterator[Drawn]:
        """The trial's point of one scrambling after another."""
        for turn in range(seen.attempts, seen.attempts + _TRIES):
            yield self._at(seen.number, seeds.derive(self.config.seed, seeds.PROPOSE, turn))

    def _at(self, index: int, seed: int) -> Drawn:
        while True:
            try:
                return self._along(_sobol(self._dimensions, index, seed))
            except IndexError:  # there are more choices than coordinates
                self._dimensions *= 2

    def _along(self, point: list[float]) -> Drawn:
        """The architecture at a point (d,) in 0..1."""
        params: Params = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            chosen = options[int(point[len(params)] * len(options))]
            params[name] = chosen, options
            return chosen

        return Drawn(params, self.space.propose(choose).digest)


class Grid(Proposing):
    """Every architecture of the space, in an order that the seed decides (``Walk``).

    Trial n takes place n of the walk, then n plus a stride, and so on, so that no two trials take the same
    place; where there is nothing new at these, the first architecture of the walk that is not known.
    """

    def __init__(self, space: SearchSpace, config: "SearchConfig") -> None:
        super().__init__(space, config)
        # A prime: the places of one trial then have no common divisor, and differ in the first choices, too.
        self._stride = next(n for n in range(max(config.trials, 100) + 1, 2**62) if _is_prime(n))

    def candidates(self, seen: Seen) -> Iterator[Drawn]:
        """What is at this trial's places."""
        for turn in range(seen.attempts, seen.attempts + _TRIES):
            drawn = self._walk.at(seen.number + turn * self._stride)
            if drawn is not None:
                yield drawn


def _sobol(dimensions: int, index: int, seed: int) -> list[float]:
    """A point (d,) of a scrambled Sobol sequence, in 0..1."""
    from scipy.stats.qmc import Sobol

    engine = Sobol(dimensions, scramble=True, rng=seed)
    if index:
        engine.fast_forward(index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that one point is no power of two of them
        return [float(x) for x in engine.random(1)[0]]


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


algorithms.add("random", Uniform)
algorithms.add("qmc", QuasiRandom)
algorithms.add("grid", Grid)

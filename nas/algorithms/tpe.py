"""The tree-structured Parzen estimator over choices that depend on each other."""

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nas.algorithms.base import algorithms
from nas.algorithms.drawing import Drawing, follow
from nas.algorithms.points import Drawn, Params, Point, Seen
from nas.algorithms.ranking import Window, spread
from search_spaces.search_space import Option

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WINDOW = Window(best=150, latest=75, others=75)
_STARTUP = 10
_GOOD_SHARE = 0.1
_CANDIDATES = 24
_EQUAL_AGE = 25


class TreeParzen(Drawing):
    """Draws where the best tenth of the trials is dense and the others are not (Bergstra et al. 2011,
    *Algorithms for hyper-parameter optimization*; Ozaki et al. 2022 for several objectives, by front and
    then by hypervolume; Watanabe 2023, *Tree-structured Parzen estimator*, for the details).

    Choices that always come up together have one joint density. That is Optuna's sampler with
    ``multivariate`` and ``group``, which sorts all trials again for every such group. Running trials count
    among the others, so that workers spread out, and so does what was refused.
    """

    tries = 2

    def draw(self, seen: Seen, seed: int) -> Drawn:
        """The most promising of some draws, group by group; a uniform draw for the first trials."""
        random = Random(seed)  # noqa: S311 - for sampling, not for secrets
        ended = [point for point in _WINDOW.of(seen.ended, seed) if point.params]
        if len(ended) < _STARTUP:
            return follow(self.space, {}, random)
        good = spread(ended, math.ceil(_GOOD_SHARE * len(ended)))
        chosen = {point.number for point in good}
        others = [point for point in ended if point.number not in chosen]
        tables = _Tables(good, [*others, *seen.pending, *seen.refused])
        params: Params = {}
        wanted: dict[str, Option] = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            if name not in wanted:
                wanted.update(tables.suggestion(name, random))
            option = wanted.get(name, options[int(random.random() * len(options))])
            params[name] = option, options
            return option

        return Drawn(params, self.space.propose(choose).digest)


class _Tables:
    """What good and other points chose: the place of each option, -1 where a choice did not come up."""

    def __init__(self, good: Sequence[Point], others: Sequence[Point]) -> None:
        every = [point.params or {} for point in (*good, *others)]
        self._options = {name: options for params in every for name, (_, options) in params.items()}
        self._column = {name: column for column, name in enumerate(self._options)}
        place = {name: {o: i for i, o in enumerate(options)} for name, options in self._options.items()}
        codes = np.full((len(every), len(self._options)), -1)
        rows = np.repeat(np.arange(len(every)), [len(params) for params in every])
        columns = [self._column[name] for params in every for name in params]
        codes[rows, columns] = [place[name][c] for params in every for name, (c, _) in params.items()]
        self._good, self._others = codes[: len(good)], codes[len(good) :]
        patterns = [(column >= 0).tobytes() for column in codes.T]
        self._groups = {
            name: [other for other in self._column if patterns[self._column[other]] == patterns[column]]
            for name, column in self._column.items()
        }

    def suggestion(self, name: str, random: Random) -> dict[str, Option]:
        """Options for a choice and for all that come up with it; none where it has not come up so far."""
        names = self._groups.get(name, [])
        if not names:
            return {}
        columns = [self._column[name] for name in names]
        counts = np.array([len(self._options[name]) for name in names])
        good = _density(self._good[:, columns], counts, is_aged=False)
        others = _density(self._others[:, columns], counts, is_aged=True)
        drawn = good.draw(_CANDIDATES, random)
        chosen = drawn[np.argmax(good.log_of(drawn) - others.log_of(drawn))]
        return {name: self._options[name][code] for name, code in zip(names, chosen, strict=True)}


class _Density(NamedTuple):
    """A mixture of one kernel for each point, and a uniform one, over choices with ``counts`` options (d,).

    A kernel gives the option of its point ``hit`` (d,) and each other one ``miss``; ``weights`` (n + 1,) end
    with that of the uniform one.
    """

    codes: Codes  # (n, d)
    weights: Floats
    hit: Floats
    miss: Floats
    counts: Codes

    def draw(self, count: int, random: Random) -> Codes:
        """So many draws (count, d)."""
        dimensions = len(self.counts)
        chance = np.array([[random.random() for _ in range(dimensions + 1)] for _ in range(count)])
        kernel = np.searchsorted(self.weights.cumsum()[:-1], chance[:, 0], side="right")
        uniform = (chance[:, 1:] * self.counts).astype(np.int64)
        if not len(self.codes):
            return uniform
        # a kernel is a uniform draw with the chance of all its misses, and else the option of its point
        again = np.array([[random.random() for _ in range(dimensions)] for _ in range(count)])
        is_uniform = (again < self.miss * self.counts) | (kernel == len(self.codes))[:, None]
        return np.where(is_uniform, uniform, self.codes[np.minimum(kernel, len(self.codes) - 1)])

    def log_of(self, points: Codes) -> Floats:
        """The logarithm of the density at points (m, d): (m,)."""
        is_hit = points[:, None, :] == self.codes[None]
        logs = np.where(is_hit, np.log(self.hit), np.log(self.miss)).sum(axis=2)
        uniform = np.full((len(points), 1), -np.log(self.counts).sum())
        return np.asarray(np.logaddexp.reduce(np.hstack([logs, uniform]) + np.log(self.weights), axis=1))


def _density(codes: Codes, counts: Codes, *, is_aged: bool) -> _Density:
    """The density of the points that made these choices, all of them or none; old ones weigh less if so."""
    present = codes[(codes >= 0).all(axis=1)]
    count = len(present)
    age: Floats = np.ones(count)
    if is_aged and count > _EQUAL_AGE:
        age[: count - _EQUAL_AGE] = np.linspace(1 / count, 1, count - _EQUAL_AGE)
    weights = np.append(age, 1.0)
    prior = 1 / (count + 1)
    whole: Floats = (1 + counts * prior).astype(np.float64)
    hit: Floats = (1 + prior) / whole
    return _Density(present, weights / weights.sum(), hit, hit * (prior / (1 + prior)), counts)


algorithms.add("tpe", TreeParzen)

"""Optuna's samplers as algorithms: each sees a bounded part of the history, with other trials' choices kept.

Optuna is imported when the first of them is asked.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from zlib import crc32

from nas.algorithms.base import Algorithm, AlgorithmFactory, algorithms
from nas.algorithms.drawing import Drawing
from nas.algorithms.points import Drawn, Params, Point, Seen
from nas.algorithms.ranking import Window, population
from search_spaces.search_space import Option, SearchSpace

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from nas.algorithms.optuna_study import Studies
    from nas.ledger.records import SearchConfig

SamplerFactory = Callable[[int, "SearchConfig"], "BaseSampler"]
"""Makes one of Optuna's samplers from a seed and the search's settings."""

WINDOW = Window(best=150, latest=75, others=75)
_OF_PARENTS = Window(best=60, latest=0, others=0)  # somewhat more than the largest population


class OptunaAlgorithm(Drawing):
    """Asks one of Optuna's samplers, made anew for each draw: all that it knows is in the study.

    Args:
        make: makes the sampler.
        window: what it is shown of the trials that ended.
        is_flat: whether it knows only choices that all trials have: those that did not come up in a trial
            are then filled in.
    """

    tries = 1  # as some take seconds

    def __init__(
        self,
        space: SearchSpace,
        config: "SearchConfig",
        make: SamplerFactory,
        window: Window,
        is_flat: bool,
    ) -> None:
        super().__init__(space, config)
        self._make, self._window, self._is_flat = make, window, is_flat
        self._studies: Studies | None = None

    def draw(self, seen: Seen, seed: int) -> Drawn:
        """What the sampler suggests."""
        sampler = self._make(seed, self.config)
        asked = self._study_of(sampler).study(self._shown(seen, seed), sampler).ask()
        params: Params = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            chosen: Option = asked.suggest_categorical(name, options)
            params[name] = chosen, options
            return chosen

        return Drawn(params, self.space.propose(choose).digest)

    def _study_of(self, sampler: "BaseSampler") -> "Studies":
        if self._studies is None:
            from optuna.samplers import BaseGASampler

            from nas.algorithms.optuna_study import Studies

            # All trials are one generation, and parents of the next: the best of them breed.
            is_genetic = isinstance(sampler, BaseGASampler)
            attributes = {sampler._get_generation_key(): 0} if is_genetic else {}
            self._studies = Studies(len(self.config.objectives), attributes)
        return self._studies

    def _shown(self, seen: Seen, seed: int) -> list[tuple[Point, Params]]:
        """The points that the sampler sees, each with what it chose."""
        window = self._window.of(seen.ended, seed)
        points = [*window, *seen.pending, *seen.refused]
        shown = [(point, point.params) for point in points if point.params is not None]
        if not self._is_flat:
            return shown
        everything = {name: options for _, params in shown for name, (_, options) in params.items()}
        return [(point, _filled(point, params, everything)) for point, params in shown]


def _filled(point: Point, params: Params, everything: dict[str, tuple[Option, ...]]) -> Params:
    """A point's choices, with a fixed arbitrary one for each that did not come up, in a common order.

    A genetic algorithm crosses over what all parents have, which would be next to nothing where most choices
    depend on others. An option that does nothing in one parent may do something in the child.
    """
    return {
        name: params.get(name) or (options[crc32(f"{point.number} {name}".encode()) % len(options)], options)
        for name, options in everything.items()
    }


def from_optuna(make: SamplerFactory, window: Window = WINDOW, is_flat: bool = False) -> AlgorithmFactory:
    """One of Optuna's samplers as an algorithm, to be registered under a name; see ``OptunaAlgorithm``."""

    def algorithm(space: SearchSpace, config: "SearchConfig") -> Algorithm:
        return OptunaAlgorithm(space, config, make, window, is_flat)

    return algorithm


def nsga2(seed: int, config: "SearchConfig") -> "BaseSampler":
    """NSGA-II whose parents are the best of all trials so far."""
    import optuna

    return optuna.samplers.NSGAIISampler(seed=seed, population_size=population(config.trials))


def nsga3(seed: int, config: "SearchConfig") -> "BaseSampler":
    """NSGA-III, likewise: parents near reference directions, for three objectives and more."""
    import optuna

    with _experimental():
        return optuna.samplers.NSGAIIISampler(seed=seed, population_size=population(config.trials))


@contextmanager
def _experimental() -> Iterator[None]:
    """No warning where Optuna calls something experimental; its version is pinned by what is tested."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


algorithms.add("nsga2", algorithms.add("nsga-ii", from_optuna(nsga2, _OF_PARENTS, is_flat=True)))
algorithms.add("nsga3", from_optuna(nsga3, _OF_PARENTS, is_flat=True))

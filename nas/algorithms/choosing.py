"""Which algorithm a search asks for: one that is registered as such, or one of Optuna's samplers."""

from nas.algorithms.base import Algorithm, algorithms
from nas.algorithms.optuna_samplers import OptunaAlgorithm, samplers
from nas.ledger.records import SearchConfig
from search_spaces.errors import InvalidInput
from search_spaces.search_space import SearchSpace


def check_sampler(name: str) -> None:
    """InvalidInput when there is no algorithm and no sampler of that name."""
    if name not in algorithms and name not in samplers:
        also = "".join(f", {other}" for other in algorithms)
        raise InvalidInput("sampler", f"unknown name '{name}'", samplers.instead_of(name, also))


def algorithm(space: SearchSpace, config: SearchConfig) -> Algorithm:
    """The algorithm of a search.

    Raises:
        InvalidInput: there is none of the name that the search gives as its sampler.
    """
    check_sampler(config.sampler)
    if config.sampler in algorithms:
        return algorithms.get(config.sampler)(space, config)
    return OptunaAlgorithm(space, config)


@algorithms.register("auto")
def auto(space: SearchSpace, config: SearchConfig) -> Algorithm:
    """A model of the search's own; imported when it is asked for, as it takes a while."""
    from nas.algorithms.auto import Auto

    return Auto(space, config)

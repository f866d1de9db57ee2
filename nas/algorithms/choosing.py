"""Which algorithm a search asks for, by its name."""

from nas.algorithms.base import Algorithm, algorithms
from nas.ledger.records import SearchConfig
from search_spaces.errors import InvalidInput
from search_spaces.search_space import SearchSpace


def check_sampler(name: str) -> None:
    """InvalidInput when there is no algorithm of that name; the message lists those there are."""
    if name not in algorithms:
        raise InvalidInput("sampler", f"unknown name '{name}'", algorithms.instead_of(name))


def algorithm(space: SearchSpace, config: SearchConfig) -> Algorithm:
    """The algorithm of a search.

    Raises:
        InvalidInput: there is none of the name that the search gives as its sampler.
    """
    check_sampler(config.sampler)
    return algorithms.get(config.sampler)(space, config)

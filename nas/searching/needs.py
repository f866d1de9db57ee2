"""Whether all is here that a search was made with, so that it can go on: a plug-in may not be loaded."""

from typing import Any

from nas.ledger.needs import refuse_missing, unknown_objectives
from nas.ledger.records import SearchConfig, SearchRecord
from search_spaces.registry import Registry


def check_plugins(record: SearchRecord, parameter: str = "search") -> None:
    """InvalidInput where a search was made with something of a plug-in that is not loaded.

    Args:
        record: the search.
        parameter: what names it.
    """
    refuse_missing(record.name, missing_of(record.config), parameter)


def missing_of(config: SearchConfig) -> dict[str, list[str]]:
    """The names of what a search needs to run and nothing here has, by kind."""
    from nas.algorithms.base import algorithms
    from nas.algorithms.pruners import pruners
    from nas.evaluators.base import evaluators
    from search_spaces.search_space import spaces

    known: dict[str, Registry[Any]] = {
        "space": spaces,
        "evaluator": evaluators,
        "sampler": algorithms,
        "pruner": pruners,
    }
    named = {setting: getattr(config, setting) for setting in known}
    missing = {setting: [name] for setting, name in named.items() if name not in known[setting]}
    return {**missing, "objective": unknown_objectives(config)}

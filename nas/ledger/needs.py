"""What a search was made with that nothing here has: it comes from a plug-in that is not loaded."""

from collections.abc import Mapping, Sequence

from nas.ledger.records import SearchConfig
from nas.objectives import is_known
from search_spaces.errors import PLUGINS, InvalidInput


def unknown_objectives(config: SearchConfig) -> list[str]:
    """The names of what a search watches that nothing here has."""
    return [name for name in config.watched if not is_known(name)]


def check_objectives(search: str, config: SearchConfig) -> None:
    """InvalidInput where a search watches what nothing here has, so that its trials cannot be compared."""
    refuse_missing(search, {"objective": unknown_objectives(config)})


def refuse_missing(search: str, missing: Mapping[str, Sequence[str]], parameter: str = "search") -> None:
    """InvalidInput where something is missing that a search was made with.

    Args:
        search: its name.
        missing: the names of what is not here, by kind; a kind of which nothing is missing has none.
        parameter: what names the search.
    """
    told = [_named(kind, names) for kind, names in missing.items() if names]
    if told:
        problem = f"'{search}' was made with {_listed(told)} of a plug-in, which is not loaded"
        raise InvalidInput(parameter, problem, ("give it by ", PLUGINS))


def _named(kind: str, names: Sequence[str]) -> str:
    return f"the {kind}{'s' if len(names) > 1 else ''} " + _listed([f"'{name}'" for name in names])


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

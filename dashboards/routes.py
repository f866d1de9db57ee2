"""The addresses of the pages: which one a path names, and the path of each."""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

_SEARCH = re.compile(r"/search/([^/]+)")
_TRIAL = re.compile(r"/search/([^/]+)/trial/(\d{1,9})")


class Route(NamedTuple):
    """The list of searches (no search), one search (no trial), or one trial."""

    search: str | None = None
    trial: int | None = None


def parse(path: str) -> Route | None:
    """The page that ``path`` names; None when it names none."""
    path = path.rstrip("/")
    if not path:
        return Route()
    if match := _TRIAL.fullmatch(path):
        return Route(unquote(match[1]), int(match[2]))
    if match := _SEARCH.fullmatch(path):
        return Route(unquote(match[1]))
    return None


def search_path(search: str) -> str:
    """The address of a search's page."""
    return f"/search/{quote(search, safe='')}"


def trial_path(search: str, number: int) -> str:
    """The address of a trial's page."""
    return f"{search_path(search)}/trial/{number}"

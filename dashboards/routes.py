"""The addresses of the pages: which one a path names, and the path of each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlencode

PATTERNS = {
    "searches": r"",
    "searches_compared": r"/compare",
    "search": r"/search/(?P<search>[^/]+)",
    "trials_compared": r"/search/(?P<search>[^/]+)/compare",
    "trial": r"/search/(?P<search>[^/]+)/trial/(?P<trial>\d{1,9})",
    "devices": r"/devices",
    "device": r"/device/(?P<device>[^/]+)",
    "artifacts": r"/artifacts",
    "artifact": r"/artifact/(?P<artifact>\d{1,9})",
}
"""What the path of each page looks like, a slash at its end aside."""
NUMBER = "int(max=999999999)"
"""A number in the address of data, as Flask writes it: so many digits as pages take."""


@dataclass(frozen=True)
class Route:
    """A page, and what it is of. Which of the fields mean something depends on the page."""

    page: str
    search: str = ""
    trial: int = 0
    device: str = ""
    artifact: int = 0
    query: Mapping[str, list[str]] = field(default_factory=dict)


def parse(path: str, query: str = "") -> Route | None:
    """The page that ``path`` names; None when it names none. ``query`` is the address from its ``?`` on."""
    for page, pattern in PATTERNS.items():
        if match := re.fullmatch(pattern, path.rstrip("/")):
            given = {name: unquote(text) for name, text in match.groupdict().items()}
            return Route(
                page,
                search=given.get("search", ""),
                trial=int(given.get("trial", 0)),
                device=given.get("device", ""),
                artifact=int(given.get("artifact", 0)),
                query=parse_qs(query.removeprefix("?")),
            )
    return None


def search_path(search: str) -> str:
    """The address of a search's page."""
    return f"/search/{quote(search, safe='')}"


def trial_path(search: str, number: int) -> str:
    """The address of a trial's page."""
    return f"{search_path(search)}/trial/{number}"


def device_path(name: str) -> str:
    """The address of a device's page."""
    return f"/device/{quote(name, safe='')}"


def artifact_path(number: int) -> str:
    """The address of an artifact's page; ``number`` is the ledger's."""
    return f"/artifact/{number}"


def trials_compared_path(search: str, numbers: Sequence[int]) -> str:
    """The address of the page that compares trials of a search."""
    return f"{search_path(search)}/compare?trials={','.join(map(str, numbers))}"


def searches_compared_path(names: Sequence[str]) -> str:
    """The address of the page that compares searches."""
    return "/compare?" + urlencode([("search", name) for name in names])

"""Refreshing a page in place: what can change goes to the components that show it, the rest stays."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypedDict

from dash import Patch
from plotly.utils import PlotlyJSONEncoder

# The property that changes while a search runs, by component. All else on a page is its structure:
# when that changes too (a trial ends, a first point appears), the page is drawn again.
REFRESHED_FIGURES = {
    "progress": "children",
    "merits": "children",
    "searches": "rowData",
    "compared-merits": "children",
    "compared-fronts": "figure",
    "compared-growth": "figure",
    "compared-members": "rowData",
    "compared-box": "children",
    "workloads": "figure",
    "training": "figure",
    "sizes": "figure",
    "memory": "figure",
    "compared-curves": "figure",
    "compared-times": "figure",
    "devices": "rowData",
    "places": "children",
    "coverage": "children",
    "device-kernels": "figure",
    "device-networks": "figure",
    "device-families": "figure",
    "device-drift": "figure",
    "kernels": "rowData",
}


class Shown(TypedDict):
    """What a browser shows, as digests: the structure, each component's live part, each figure's layout."""

    structure: str
    parts: dict[str, str]
    layouts: dict[str, str]


class Changes(NamedTuple):
    """What to send to a browser; ``parts`` gives the new value of the live property by component."""

    redraw: bool
    parts: Mapping[str, Any]
    shown: Shown


def changes(page: Any, path: str, shown: Shown | None) -> Changes:
    """Compare ``page`` with what the browser shows already."""
    parts = dict(_live_parts(page))
    digests = {name: _digest(value) for name, value in parts.items()}
    layouts = {
        name: _digest(part.layout) for name, part in parts.items() if REFRESHED_FIGURES[name] == "figure"
    }
    now: Shown = {"structure": _digest([path, _without_live(page)]), "parts": digests, "layouts": layouts}
    if shown is None or shown["structure"] != now["structure"]:
        return Changes(True, {}, now)
    changed = {name: part for name, part in parts.items() if shown["parts"].get(name) != digests[name]}
    # Dash forgets a zoom when a whole figure arrives, so as long as its axes fit, only the points are sent.
    for name in changed.keys() & layouts.keys():
        if shown["layouts"].get(name) == layouts[name]:
            changed[name] = _points_only(changed[name])
    return Changes(False, changed, now)


def _points_only(figure: Any) -> Patch:
    patch = Patch()
    patch["data"] = figure.to_plotly_json()["data"]
    return patch


def _live_parts(node: Any) -> Iterator[tuple[str, Any]]:
    for child in _components(node):
        live = REFRESHED_FIGURES.get(getattr(child, "id", None) or "")
        if live is not None:
            yield child.id, getattr(child, live, None)


def _components(node: Any) -> Iterator[Any]:
    """``node`` and every component within it."""
    if isinstance(node, list | tuple):
        for child in node:
            yield from _components(child)
    elif hasattr(node, "to_plotly_json"):
        yield node
        yield from _components(getattr(node, "children", None))


def _without_live(node: Any) -> Any:
    """The tree as plain data, live properties left out."""
    if isinstance(node, list | tuple):
        return [_without_live(child) for child in node]
    if not hasattr(node, "to_plotly_json"):
        return node
    told = node.to_plotly_json()
    left_out = {REFRESHED_FIGURES.get(told["props"].get("id", "")), "children"}
    props = {name: value for name, value in told["props"].items() if name not in left_out}
    children = (
        None if REFRESHED_FIGURES.get(props.get("id", "")) == "children" else getattr(node, "children", None)
    )
    return [told["type"], props, _without_live(children)]


def _digest(value: Any) -> str:
    return hashlib.sha256(PlotlyJSONEncoder().encode(value).encode()).hexdigest()

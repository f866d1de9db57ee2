"""The first page: every search in the ledger, with how far it is."""

from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import NOTE, grid, heading, link_column, why_unknown
from dashboards.routes import Route, search_path
from dashboards.views import View
from nas.formatting import percent
from nas.ledger import Ledger, SearchRecord, TrialState
from nas.ledger.needs import unknown_objectives

COLUMNS = [
    link_column("link", "Search", minWidth=160),
    {"field": "space", "headerName": "Space"},
    {"field": "data", "headerName": "Data"},
    {"field": "device", "headerName": "Device"},
    {"field": "sampler", "headerName": "Sampler"},
    {"field": "finished", "headerName": "Finished", "type": "rightAligned"},
    {"field": "complete", "headerName": "Complete", "type": "rightAligned"},
    {"field": "best", "headerName": "Best accuracy", "type": "rightAligned", "minWidth": 140},
    {"field": "started", "headerName": "Started (UTC)", "minWidth": 170},
]


def page(ledger: Ledger, _route: Route) -> Any:
    """The list of searches."""
    view = View("In this ledger", lambda: _rows(ledger), _why_not, _draw)
    return dmc.Stack([heading("Searches"), view.show()], gap="lg")


def is_live(ledger: Ledger, _route: Route) -> bool:
    """Whether some search still has trials to run."""
    return any(not search.finished for search in ledger.searches())


def _rows(ledger: Ledger) -> list[dict[str, Any]]:
    return [_row(search, _best(ledger, search)) for search in reversed(ledger.searches())]


def _why_not(rows: list[dict[str, Any]]) -> str | None:
    return None if rows else "There are no searches yet; 'nas search' starts one."


def _draw(rows: list[dict[str, Any]]) -> Any:
    return grid("searches", [*COLUMNS, NOTE] if any(row["note"] for row in rows) else COLUMNS, rows)


def _best(ledger: Ledger, search: SearchRecord) -> float | None:
    return max((t.accuracy for t in ledger.outlines(search.name) if t.accuracy is not None), default=None)


def _row(search: SearchRecord, best: float | None) -> dict[str, Any]:
    config, total = search.config, sum(search.counts.values())
    finished = sum(count for state, count in search.counts.items() if state.finished)
    unknown = unknown_objectives(config)
    return {
        "id": search.name,
        "link": f"[{search.name}]({search_path(search.name)})",
        "space": config.space,
        "data": config.data,
        "device": config.device,
        "sampler": config.sampler,
        "finished": f"{finished} of {total}",
        "complete": search.counts[TrialState.COMPLETE],
        "best": percent(best),
        "started": f"{search.created_at:%Y-%m-%d %H:%M}",
        "note": why_unknown(unknown) if unknown else "",
    }

"""The first page: every search in the ledger, how it stands, and which of them to compare."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, dcc

from dashboards.parts import grid, heading, why_unknown
from dashboards.routes import Route, search_path, searches_compared_path, trial_path
from dashboards.views import View
from nas.analysis.searches_compared import FEWEST, MOST
from nas.analysis.searches_data import RECENT, SearchesData, SearchRow, SearchState, goes_on
from nas.figures.style import STATE_COLOURS
from nas.formatting import MISSING
from nas.hints import command, typed_again, without_password
from nas.ledger import Ledger
from nas.ledger.needs import unknown_objectives

HOW_TO_READ = (
    "How far each search is, what it has found, and how long it will take. Select some to compare them: "
    "by their boxes, or by the space bar on a row. A hypervolume is a share of a box that grows with what is "
    "found: while a search runs, it may fall."
)


def shown_with(format: str) -> str:
    """How AG Grid shows a figure that may be missing, in d3's format."""
    return f"params.value === null ? '{MISSING}' : d3.format('{format}')(params.value)"


def drawn_by(renderer: str) -> dict[str, Any]:
    """A column whose cells show more than the value that they are sorted by, and are always drawn anew."""
    return {"cellRenderer": renderer, "equals": {"function": "false"}}


PLAIN = {"filter": False}
FIGURE = {"type": "rightAligned", **PLAIN}
COLUMNS = [
    {
        "field": "search",
        "headerName": "Search",
        **drawn_by("SearchName"),
        "autoHeight": True,
        "minWidth": 170,
        "flex": 2,
    },
    {
        "field": "state",
        "headerName": "State",
        **drawn_by("SearchState"),
        "autoHeight": True,
        "minWidth": 105,
    },
    {
        "field": "finished",
        "headerName": "Progress",
        **drawn_by("SearchProgress"),
        "headerTooltip": "Trials that have ended, of all",
        "minWidth": 100,
        **PLAIN,
    },
    {
        "field": "total",
        "headerName": "Trials by state",
        **drawn_by("SearchCounts"),
        "cellRendererParams": {"colours": STATE_COLOURS},
        "autoHeight": True,
        "minWidth": 175,
        "flex": 2,
        **PLAIN,
    },
    {
        "field": "best",
        "headerName": "Best",
        **drawn_by("SearchBest"),
        "headerTooltip": "Within the limits, in the search's first objective that takes training",
        "minWidth": 90,
        **PLAIN,
    },
    {
        "field": "front",
        "headerName": "Front",
        "headerTooltip": "Trials on the front",
        "minWidth": 75,
        **FIGURE,
    },
    {
        "field": "hypervolume",
        "headerName": "Hypervolume",
        "headerTooltip": "The share of its box that the front dominates, as nas pareto tells",
        "valueFormatter": {"function": shown_with(".3f")},
        "minWidth": 115,
        **FIGURE,
    },
    {
        "field": "rate",
        "headerName": "Trials an hour",
        "headerTooltip": f"While it runs: of the last {RECENT} trials, or since its workers began",
        "valueFormatter": {"function": shown_with(",.3~r")},
        "minWidth": 85,
        **FIGURE,
    },
    {
        "field": "left",
        "headerName": "Time left",
        **drawn_by("SearchLeft"),
        "headerTooltip": "If it goes on as it did",
        "minWidth": 105,
        **PLAIN,
    },
    {
        "field": "workers",
        "headerName": "Workers",
        **drawn_by("SearchWorkers"),
        "autoHeight": True,
        "headerTooltip": "Who works on it now, and where",
        "minWidth": 95,
        **PLAIN,
    },
]
OPTIONS = {
    "rowSelection": {"mode": "multiRow", "checkboxes": True, "headerCheckbox": True},
    "selectionColumnDef": {"width": 50},
}
LEFT_OVER = SearchState.STOPPED, SearchState.NOT_BEGUN
_DATA: dict[str, SearchesData] = {}
"""What is kept of the searches, by the ledger's URL."""


def data_of(ledger: Ledger) -> SearchesData:
    """The searches of a ledger, which all pages of a process share."""
    return _DATA.setdefault(ledger.url, SearchesData())


def page(ledger: Ledger, _route: Route) -> Any:
    """The list of searches."""
    begin = command(
        "search", name="demo", space="tiny", data="digits", device="local", trials=40,
        storage=without_password(ledger.url),
    )  # fmt: skip
    view = View(
        "All searches",
        lambda: data_of(ledger).rows(ledger),
        lambda rows: None if rows else f"There are no searches yet. Type this to begin: {begin}",
        lambda rows: _draw(rows, without_password(ledger.url)),
        HOW_TO_READ,
    )
    return dmc.Stack([heading("Searches"), view.show()], gap="lg")


def is_live(ledger: Ledger, _route: Route) -> bool:
    """Whether some search still has trials to run, or a front to measure."""
    return goes_on(ledger, ledger.searches())


def answer_selection(app: Dash) -> None:
    """Have the button lead to the searches that are selected."""

    def answer(selected: Sequence[Mapping[str, Any]] | None) -> Any:
        return compare_button([row["search"] for row in selected or ()])

    app.callback(Output("compare", "children"), Input("searches", "selectedRows"))(answer)


def compare_button(names: Sequence[str]) -> Any:
    """What leads to the comparison, or says how to come to one."""
    if len(names) < FEWEST:
        return dmc.Text(f"Select {FEWEST} searches or more to compare them.", size="sm", c="dimmed")
    if len(names) > MOST:
        return dmc.Text(f"{len(names)} are selected; {MOST} can be compared.", size="sm", c="dimmed")
    text = f"Compare {len(names)} searches"
    return dcc.Link(text, href=searches_compared_path(names), className="as-button")


def _draw(rows: Sequence[SearchRow], storage: str | None) -> Any:
    table = grid("searches", COLUMNS, [_told(row) for row in rows], OPTIONS)
    bar = dmc.Box(compare_button(()), id="compare", mih=30)
    go_on = command("search", resume="SEARCH", storage=storage)
    how = dmc.Text(["To go on with one that has stopped: ", dmc.Code(go_on)], size="sm", c="dimmed")
    is_any_left = any(row.state in LEFT_OVER and not row.record.origin.steps for row in rows)
    return dmc.Stack(
        [*([bar] if len(rows) >= FEWEST else []), table, *([how] if is_any_left else [])], gap="sm"
    )


def _told(row: SearchRow) -> dict[str, Any]:
    """A search as plain data: what cells show (``assets/searches.js``), and what they are sorted by."""
    record, config, best = row.record, row.record.config, row.best
    settings = [record.drawn_from, config.data, config.device, record.drawn_by]
    names = [f"{worker.label}{_held(worker.trials)}" for worker in row.workers]
    return {
        "id": record.name,
        "search": record.name,
        "href": search_path(record.name),
        "about": f"{', '.join(filter(None, settings))}; {record.created_at:%Y-%m-%d %H:%M} UTC",
        "state": str(row.state),
        "why": _why(row),
        "finished": row.finished,
        "total": record.trials,
        "progress": f"{row.finished:,} of {record.trials:,}",
        "counts": {str(state): count for state, count in record.counts.items()},
        "best": None if best is None else best.value,
        "best_told": row.told_best,
        "trial": None if best is None else best.number,
        "trial_href": None if best is None else trial_path(record.name, best.number),
        "front": row.front,
        "hypervolume": row.hypervolume,
        "rate": row.rate,
        "left": row.left_s,
        "left_told": row.told_left,
        "workers": len(row.workers),
        "where": ", ".join(f"{count} on {host}" for host, count in row.hosts.items()),
        "names": ", ".join(names),
    }


def _why(row: SearchRow) -> str:
    """What to know of the state: why it ended, what is left or done now, or what is not known here."""
    if unknown := unknown_objectives(row.record.config):
        return why_unknown(unknown)
    if row.unread is not None:
        return str(row.unread)
    if row.state is SearchState.MEASURING:
        return row.stages
    if row.state is SearchState.ENDED_EARLY:
        return row.record.ended or ""
    if row.state not in LEFT_OVER:
        return ""
    if steps := row.record.origin.steps:
        return typed_again(steps["command"])
    return f"{row.record.trials - row.finished} left"


def _held(trials: Sequence[Any]) -> str:
    return f" (trial {', '.join(str(trial.number) for trial in trials)})" if trials else ""

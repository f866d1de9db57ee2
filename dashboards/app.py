"""The Dash application: one shell, one callback that shows the page of an address, one for clicks."""

import time
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from dashboards import page_search, page_searches, page_trial
from dashboards.parts import problem
from dashboards.refresh import REFRESHED_FIGURES, Shown, changes
from dashboards.routes import Route, parse, trial_path
from dashboards.views import explain
from nas.ledger import Ledger
from search_spaces.errors import BitnasError, InvalidInput

LIVE_MS = 3_000  # between looks at the ledger while a search runs
PATIENCE = 5  # times as long as a page takes is the pause to the next, at least
IDLE_MS = 30_000  # and while none does: someone may resume one


STYLE = """
body { font-variant-numeric: tabular-nums; }
.home { text-decoration: none; }
.ag-cell a { color: #3b5bdb; font-weight: 600; text-decoration: none; }
.ag-cell a:hover { text-decoration: underline; }
.ag-cell p { margin: 0; }
.ag-center-cols-viewport { min-height: unset !important; }
#trials .ag-row { cursor: pointer; }
.ag-cell-wrap-text { line-height: 1.3; padding-top: 6px; padding-bottom: 6px; }
/* Pages are drawn light, figures too: a reader who wants them dark gets them turned, hues kept. */
@media (prefers-color-scheme: dark) { html { filter: invert(0.9) hue-rotate(180deg); background: white; } }
"""


def create_app(storage: str) -> Dash:
    """An application that shows the ledger at ``storage``, read afresh at each load; it opens nothing yet."""
    app = Dash(
        "bitnas",
        title="bitnas",
        update_title="",
        serve_locally=True,
        include_assets_files=False,
        enable_mcp=False,
        suppress_callback_exceptions=True,  # the pages' own components come and go
        add_log_handler=False,
    )
    app.index_string = app.index_string.replace("</head>", f"<style>{STYLE}</style></head>")
    app.layout = _shell
    _show_pages(app, storage)
    _follow_clicks(app)
    return app


def render(storage: str, path: str) -> tuple[Any, bool]:
    """The page at ``path`` and whether what it shows may still change soon."""
    route = parse(path)
    if route is None:
        return problem("There is no such page", f"Nothing lives at {path}."), False
    try:
        with Ledger.open(storage) as ledger:
            return _page(ledger, route), _is_live(ledger, route)
    except InvalidInput as error:
        return problem("There is no such search or trial", str(error)), False
    except BitnasError as error:
        return problem("The ledger cannot be read", str(error)), True
    except Exception as error:
        return problem("This page failed", explain(error)), False


def _page(ledger: Ledger, route: Route) -> Any:
    if route.search is None:
        return page_searches.page(ledger)
    if route.trial is None:
        return page_search.page(ledger, route.search)
    return page_trial.page(ledger, route.search, route.trial)


def _is_live(ledger: Ledger, route: Route) -> bool:
    if route.search is None:
        return page_searches.is_live(ledger)
    return not ledger.search(route.search).finished


def _shell() -> Any:
    home = dcc.Link(dmc.Text("bitnas", fw=800, size="xl", c="indigo.8"), href="/", className="home")
    line = dmc.Text("neural architecture search, down to one bit", size="sm", c="dimmed", visibleFrom="sm")
    header = dmc.AppShellHeader(dmc.Container(dmc.Group([home, line], h="100%"), size="xl", h="100%"))
    main = dmc.AppShellMain(dmc.Container(html.Div(id="page"), size="xl", py="lg"))
    return dmc.MantineProvider(
        [
            dcc.Location(id="location", refresh="callback-nav"),
            dcc.Interval(id="refresh", interval=IDLE_MS),  # until the first page tells
            dcc.Store(id="shown"),
            dmc.AppShell([header, main], header={"height": 56}, bg="gray.0"),
        ],
        forceColorScheme="light",
        theme={"primaryColor": "indigo", "defaultRadius": "md"},
    )


def _show_pages(app: Dash, storage: str) -> None:
    def show(path: str | None, _ticks: int | None, shown: Shown | None) -> tuple[Any, Any, int]:
        started = time.monotonic()
        page, live = render(storage, path or "/")
        # After a step to another address ``shown`` may be about a page that has not arrived yet.
        moved = "location.pathname" in ctx.triggered_prop_ids
        told = changes(page, path or "/", None if moved else shown)
        # Part by part, the reader's zoom, sorting and scrolling stay as they are.
        for name, value in told.parts.items():
            set_props(name, {REFRESHED_FIGURES[name]: value})
        # A page that is asked for again before it has arrived is never shown: large ones refresh less often.
        took_ms = round(1000 * (time.monotonic() - started))
        pause_ms = max(LIVE_MS, PATIENCE * took_ms) if live else IDLE_MS
        return page if told.redraw else no_update, told.shown, pause_ms

    app.callback(
        Output("page", "children"),
        Output("shown", "data"),
        Output("refresh", "interval"),
        Input("location", "pathname"),
        Input("refresh", "n_intervals"),
        State("shown", "data"),
    )(show)


def _follow_clicks(app: Dash) -> None:
    where, path = Output("location", "pathname", allow_duplicate=True), State("location", "pathname")
    app.callback(where, Input("pareto", "clickData"), path, prevent_initial_call=True)(_open_point)
    app.callback(where, Input("trials", "cellClicked"), path, prevent_initial_call=True)(_open_row)


def _open_point(click: dict[str, Any] | None, path: str) -> Any:
    """From a point of the Pareto figure, by its customdata, to its trial."""
    return _trial_of(path, click["points"][0].get("customdata") if click else None)


def _open_row(cell: dict[str, Any] | None, path: str) -> Any:
    """From a row of the table; its first column is a link of its own, which the browser follows."""
    return _trial_of(path, cell["rowId"] if cell and cell["colId"] != "link" else None)


def _trial_of(path: str, number: str | int | None) -> Any:
    route = parse(path)
    if number is None or route is None or route.search is None:
        return no_update
    return trial_path(route.search, int(number))

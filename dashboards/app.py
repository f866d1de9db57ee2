"""The Dash application: one shell, one callback that shows the page of an address, one for clicks."""

import time
from pathlib import Path
from typing import Any, Protocol

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from dashboards import (
    page_artifact,
    page_artifacts,
    page_device,
    page_devices,
    page_search,
    page_searches,
    page_searches_compared,
    page_trial,
    page_trials_compared,
)
from dashboards.artifact_routes import add_downloads
from dashboards.data_routes import BROWSER, PLOTLY, add_data_routes, serve_only
from dashboards.failures import answer_failures
from dashboards.frames import Frames
from dashboards.parts import notice, problem
from dashboards.refresh import REFRESHED_FIGURES, Shown, changes
from dashboards.routes import Route, parse
from dashboards.titles import title_of
from dashboards.views import explain
from nas.figures.browser import SCRIPTS, STYLE
from nas.ledger import Ledger
from search_spaces.errors import BitnasError, InvalidInput

LIVE_MS = 3_000  # between looks at the ledger while a search runs
PATIENCE = 5  # times as long as a page takes is the pause to the next, at least
IDLE_MS = 30_000  # and while none does: someone may resume one


class Page(Protocol):
    """What a module of a page offers. InvalidInput where what the address names is not there."""

    def page(self, ledger: Ledger, route: Route) -> Any:
        """The page, read afresh."""

    def is_live(self, ledger: Ledger, route: Route) -> bool:
        """Whether what it shows may change soon."""


PAGES: dict[str, Page] = {
    "searches": page_searches,
    "searches_compared": page_searches_compared,
    "search": page_search,
    "trial": page_trial,
    "trials_compared": page_trials_compared,
    "devices": page_devices,
    "device": page_device,
    "artifacts": page_artifacts,
    "artifact": page_artifact,
}
"""The module of each page, by its name in ``routes.PATTERNS``."""
LINKS = {"Searches": "/", "Devices": "/devices", "Artifacts": "/artifacts"}
"""What the head of every page leads to."""
EARLY_SCRIPT = "/assets/early.js"
OWN_SCRIPTS = ["/assets/mount.js", "/assets/searches.js"]
OWN_STYLE = "/assets/dashboard.css"
ASSETS = Path(__file__).with_name("assets")


def create_app(storage: str) -> Dash:
    """An application that shows the ledger at ``storage``, read afresh at each load; it opens nothing yet."""
    app = Dash(
        "bitnas",
        title="bitnas",
        update_title="",
        serve_locally=True,
        assets_folder=str(ASSETS),
        assets_ignore=r".*\.js",  # _head gives their order
        enable_mcp=False,
        suppress_callback_exceptions=True,  # the pages' own components come and go
        add_log_handler=False,
    )
    app.index_string = app.index_string.replace("{%css%}", "{%css%}" + _head())
    app.layout = _shell
    answer_failures(app.server, app.callback_map)
    serve_only(app.server, "/assets/", [EARLY_SCRIPT, *OWN_SCRIPTS, OWN_STYLE])
    add_data_routes(app.server, storage, Frames(storage))
    add_downloads(app.server, storage)
    _show_pages(app, storage)
    page_searches.answer_selection(app)
    page_searches_compared.answer_choice(app)
    return app


def render(storage: str, path: str, query: str = "") -> tuple[Any, bool]:
    """The page at an address, and whether what it shows may still change soon."""
    try:
        return _rendered(storage, path, query)
    except BitnasError as error:
        return problem("The ledger cannot be read", str(error)), True


def _rendered(storage: str, path: str, query: str) -> tuple[Any, bool]:
    """The page at an address and whether it may change soon; BitnasError where the ledger cannot be read.

    ``assets/mount.js`` has the browser's tab say ``data-title``.
    """
    route = parse(path, query)
    page, is_live = _read(storage, path, route)
    return html.Div(page, **{"data-title": title_of(route)}), is_live


def _read(storage: str, path: str, route: Route | None) -> tuple[Any, bool]:
    if route is None or route.page not in PAGES:
        return problem("There is no such page", f"Nothing lives at {path}."), False
    shown = PAGES[route.page]
    try:
        with Ledger.open(storage, read_only=True) as ledger:
            return shown.page(ledger, route), shown.is_live(ledger, route)
    except InvalidInput as error:
        return problem("There is no such thing here", str(error)), False
    except BitnasError:
        raise
    except Exception as error:
        return problem("This page failed", explain(error)), False


def _head() -> str:
    """What a page loads before Dash: plotly, which Dash then uses too, and the linked views."""
    scripts = [PLOTLY, *(f"{BROWSER}/{name}" for name in SCRIPTS), *OWN_SCRIPTS]
    told = [f'<link rel="stylesheet" href="{BROWSER}/{STYLE}">', f'<script src="{EARLY_SCRIPT}"></script>']
    # deferred, so that Dash begins while these arrive; they are there before its first figure is
    return "".join([*told, *(f'<script defer src="{script}"></script>' for script in scripts)])


def _shell() -> Any:
    home = dcc.Link(dmc.Text("bitnas", fw=800, size="xl", c="indigo"), href="/", className="home")
    line = dmc.Text("neural architecture search, down to one bit", size="sm", c="dimmed", visibleFrom="sm")
    links = [dcc.Link(text, href=href, className="bitnas-link") for text, href in LINKS.items()]
    pages = html.Nav(dmc.Group(links, gap="lg"), **{"aria-label": "Pages"})
    head = dmc.Group([dmc.Group([home, line]), pages], h="100%", justify="space-between")
    header = dmc.AppShellHeader(dmc.Container(head, size="xl", h="100%"))
    body = [html.Div(id="old", role="alert"), html.Div(id="page")]
    main = dmc.AppShellMain(dmc.Container(body, size="xl", py="lg"))
    return dmc.MantineProvider(
        [
            dcc.Location(id="location", refresh="callback-nav"),
            dcc.Interval(id="refresh", interval=IDLE_MS),  # until the first page tells
            dcc.Store(id="shown"),
            dmc.AppShell([header, main], header={"height": 56}),
        ],
        defaultColorScheme="auto",
        theme={"primaryColor": "indigo", "defaultRadius": "md"},
    )


def _show_pages(app: Dash, storage: str) -> None:
    def show(
        path: str | None, query: str | None, _ticks: int | None, shown: Shown | None
    ) -> tuple[Any, Any, int]:
        started = time.monotonic()
        # After a step to another address ``shown`` may be about a page that has not arrived yet.
        moved = bool({"location.pathname", "location.search"} & set(ctx.triggered_prop_ids))
        try:
            page, live = _rendered(storage, path or "/", query or "")
        except BitnasError as error:
            if shown is not None and not moved:  # what is there stays
                set_props("old", {"children": notice(f"The page may be old: {error}", failed=True)})
                return no_update, no_update, LIVE_MS
            page, live = problem("The ledger cannot be read", str(error)), True
        set_props("old", {"children": None})
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
        Input("location", "search"),
        Input("refresh", "n_intervals"),
        State("shown", "data"),
    )(show)

"""The pieces that pages are made of: cards, notices, badges, figures of merit, charts, tables."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html

from nas.figures.style import STATE_COLOURS
from nas.hints import command

Cell = str | float | None
Rows = tuple[Sequence[str], Sequence[Sequence[Cell]]]
"""Of a table: its titles, and a value below each."""
PRECISION_COLOURS = {
    "float": "gray",
    "int8": "blue",
    "ternary": "teal",
    "binary": "grape",
    "dithered": "orange",
}
ROW = 5  # figures of merit that fit beside one another
NOTE = {"field": "note", "headerName": "Note", "minWidth": 150, "wrapText": True, "autoHeight": True}
PLOT_CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,  # nothing is sent elsewhere
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


def card(title: str, body: Any, note: str = "") -> Any:
    """A titled box; ``note`` explains below the title how to read it."""
    head = [dmc.Title(title, order=3, size="h4")]
    if note:
        head.append(dmc.Text(note, size="sm", c="dimmed"))
    return dmc.Paper(
        [dmc.Stack(head, gap=2, mb="sm"), body], withBorder=True, radius="md", p="lg", shadow="xs"
    )


def notice(reason: str, failed: bool = False) -> Any:
    """A line in place of what cannot be shown."""
    return dmc.Alert(reason, color="red" if failed else "gray", variant="light", radius="md")


def why_unknown(objectives: Sequence[str]) -> str:
    """Why what needs these objectives cannot be shown."""
    told = ", ".join(f"'{name}'" for name in objectives)
    start = command("dashboard", lacks_plugin=True)
    return f"Objective {told} is not known here: start the dashboard with the plug-in that adds it ({start})."


def download(text: str, address: str) -> Any:
    """A link to a file: a plain one, as those of the components lead to pages only."""
    return html.A(text, href=address, className="as-button")


def problem(title: str, reason: str) -> Any:
    """A whole page that says what is wrong and leads back."""
    body = [dmc.Text(reason), dmc.Anchor("All searches", href="/", mt="md", display="block")]
    return dmc.Container(card(title, dmc.Box(body)), size="sm", mt="xl", className="problem")


def heading(title: str, *beside: Any) -> Any:
    """The title of a page with badges beside it."""
    return dmc.Group([dmc.Title(title, order=1, size="h2"), *beside], gap="sm")


def crumbs(*links: tuple[str, str]) -> Any:
    """The way from the list of searches to here."""
    return dmc.Breadcrumbs([dmc.Anchor(text, href=href, size="sm") for text, href in links])


def state_badge(state: str) -> Any:
    """The state of a trial in its colour."""
    return dmc.Badge(state, color=STATE_COLOURS.get(state, "gray"), variant="light", size="lg", tt="none")


def precision_badge(layer: str, precision: str) -> Any:
    """Which precision a layer has."""
    family = precision.split("-")[0]
    colour = PRECISION_COLOURS.get(family, "gray")
    name = [dmc.Text(f"{layer} ", span=True, size="xs", c="dimmed"), precision]
    return dmc.Badge(name, color=colour, variant="light", radius="sm", tt="none", fw=600)


def figures_of_merit(pairs: Sequence[tuple[str, str, str]]) -> Any:
    """Large figures in a row: what it is, the figure, and what to know about it."""
    tiles = [
        dmc.Paper(
            [
                dmc.Text(label, size="sm", c="dimmed"),
                dmc.Text(figure, size="xl", fw=700, className="figure"),
                dmc.Text(note, size="xs", c="dimmed"),
            ],
            withBorder=True, radius="md", p="md", shadow="xs",
        )
        for label, figure, note in pairs
    ]  # fmt: skip
    return dmc.SimpleGrid(tiles, cols={"base": 2, "sm": len(tiles) if len(tiles) <= ROW else 4}, spacing="md")


def count_bar(counts: Mapping[str, int]) -> Any:
    """How many trials are in each state, as one bar with its legend."""
    total = sum(counts.values()) or 1
    present = {state: count for state, count in counts.items() if count}
    sections = [
        dmc.ProgressSection(value=100 * count / total, color=STATE_COLOURS.get(state, "gray"))
        for state, count in present.items()
    ]
    legend = [
        dmc.Group(
            [
                dmc.Box(w=10, h=10, bg=STATE_COLOURS.get(state, "gray"), style={"borderRadius": 2}),
                dmc.Text(f"{count} {state}", size="sm"),
            ],
            gap=6,
        )
        for state, count in present.items()
    ]
    bar = dmc.ProgressRoot(sections, size="lg", radius="sm")
    return dmc.Stack([bar, dmc.Group(legend, gap="lg", className="counts")], gap="xs")


def chart(identity: str, figure: Any, height: int | None = None, table: Rows | None = None) -> Any:
    """A plotly figure with a table to open below it; zoom and selection survive a refresh.

    ``table`` is titles and rows; without one the browser takes what is drawn.
    """
    figure.update_layout(uirevision="kept", autosize=True)
    style = {"height": height or figure.layout.height or 480}
    graph = dcc.Graph(id=identity, figure=figure, config=PLOT_CONFIG, style=style, responsive=True)
    told = {} if table is None else {"data-table": json.dumps(table)}
    return html.Div([graph, html.Div(className="bitnas-twin", **told)])


def grid(
    identity: str,
    columns: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any] | None = None,
) -> Any:
    """A table that sorts and filters in the browser; the field ``id`` tells its rows apart.

    ``options`` are further ones of AG Grid.
    """
    return dag.AgGrid(
        id=identity,
        columnDefs=list(columns),
        rowData=list(rows),
        getRowId="params.data.id",
        columnSize="responsiveSizeToFit",
        defaultColDef={
            "sortable": True,
            "filter": True,
            "resizable": True,
            "minWidth": 120,
            "wrapHeaderText": True,
            "autoHeaderHeight": True,
        },
        dashGridOptions={
            "domLayout": "autoHeight",
            "loadThemeGoogleFonts": False,  # nothing is fetched from elsewhere
            "pagination": not rows or len(rows) > PAGE_ROWS,
            "paginationPageSize": PAGE_ROWS,
            "paginationPageSizeSelector": [PAGE_ROWS, 100, 500],
            **(options or {}),
        },
        style={"width": "100%", "height": None},
    )


PAGE_ROWS = 25


def explorer(search: str, is_live: bool) -> Any:
    """Room for the linked views of a search, which the browser fills (``assets/mount.js``)."""
    told = {"data-search": search, "data-live": "yes" if is_live else "no"}
    return html.Div("Reading the trials …", id="explorer", className="bitnas-explorer", **told)


def table(identity: str) -> Any:
    """Room for a table whose rows and columns come from the linked views, with its downloads."""
    downloads = [
        dmc.Button(f"Download {kind}", id=f"{identity}-{kind.lower()}", variant="default", size="xs")
        for kind in ("CSV", "JSON")
    ]
    return dmc.Stack([dmc.Group(downloads), grid(identity, [], [])], gap="sm")


def link(text: str, address: str) -> str:
    """A cell of ``link_column``; marks of Markdown in ``text`` are only text."""
    inert = re.sub(r"([^A-Za-z0-9 ])", r"\\\1", text)
    return f"[{inert}]({address})"


def link_column(field: str, title: str, **more: Any) -> dict[str, Any]:
    """A column whose cells are links, written as ``[text](address)``."""
    return {"field": field, "headerName": title, "cellRenderer": "markdown", **more}

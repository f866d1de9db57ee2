"""The page that compares searches: their fronts over one another, their hypervolumes, and what differs."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html, no_update

from dashboards.page_searches import data_of
from dashboards.parts import chart, crumbs, grid, heading, link_column, notice, why_unknown
from dashboards.routes import Route, search_path, trial_path
from dashboards.views import View
from nas.analysis.searches_compared import FEWEST, ComparedSearch, Comparison, check_count
from nas.analysis.searches_data import goes_on
from nas.figures.searches import (
    PLOTS,
    FrontLine,
    GrowthLine,
    fronts_figure,
    growth_figure,
    most_of_each,
)
from nas.formatting import MISSING, lasting
from nas.ledger import Ledger
from nas.ledger.needs import unknown_objectives
from nas.objectives import objective
from search_spaces.errors import InvalidInput

CHOICES = {"x": "Across", "y": "Up"}
ABOUT_FRONTS = (
    "Each search's trials that no other of its own beats in these two objectives, within its own limits. "
    "A mark and a kind of line tell each search. A click on a point opens the trial."
)
ABOUT_GROWTH = (
    "How much of one box each front dominates, over trials, epochs and time. The box is the same for all: "
    "from the best value of any search to a tenth of the range beyond the worst."
)
ABOUT_DIFFERENCES = "Settings that are the same in all are left out."


def page(ledger: Ledger, route: Route) -> Any:
    """The comparison; a notice says why there can be none."""
    parts = [crumbs(("Searches", "/"), ("compared", "")), heading("Searches compared")]
    try:
        names = check_count(route.query.get("search", []))
        left_out = _left_out(ledger, names)
        parts += [notice(f"'{name}' is left out. {why}", failed=True) for name, why in left_out.items()]
        rest = [name for name in names if name not in left_out]
        if len(rest) < FEWEST:
            return dmc.Stack([*parts, notice(f"Fewer than {FEWEST} are left to compare.")], gap="lg")
        found = _compared(ledger, rest, route)
    except InvalidInput as error:
        return dmc.Stack([*parts, notice(f"These cannot be compared: {error}")], gap="lg")
    parts += [notice(warning) for warning in found.warnings]
    views = [_fronts(found), _growth(found), _table(found), _members(found)]
    return dmc.Stack([*parts, *(view.show() for view in views)], gap="lg")


def is_live(ledger: Ledger, route: Route) -> bool:
    """Whether one of them still has trials to run, or a front to measure."""
    named = route.query.get("search", ())
    return goes_on(ledger, [search for search in ledger.searches() if search.name in named])


def answer_choice(app: Dash) -> None:
    """Have the address follow the objectives that are chosen."""

    def answer(x: str | None, y: str | None, query: str | None) -> Any:
        given = parse_qs((query or "").removeprefix("?"))
        if not x or not y or "search" not in given:
            return no_update
        now = "?" + urlencode([*(("search", name) for name in given["search"]), ("x", x), ("y", y)])
        return no_update if (given.get("x"), given.get("y")) == ([x], [y]) else now

    app.callback(
        Output("location", "search"),
        Input("compared-x", "value"),
        Input("compared-y", "value"),
        State("location", "search"),
        prevent_initial_call=True,
    )(answer)


def _left_out(ledger: Ledger, names: Sequence[str]) -> dict[str, str]:
    """Why searches cannot be compared whatever the others are, by their names."""
    told = {}
    for search in data_of(ledger).kept(ledger, names):
        if unknown := unknown_objectives(search.record.config):
            told[search.record.name] = why_unknown(unknown)
        elif search.unread is not None:
            told[search.record.name] = str(search.unread)
    return told


def _compared(ledger: Ledger, names: Sequence[str], route: Route) -> Comparison:
    x, y = ((route.query.get(axis) or [""])[0] for axis in CHOICES)
    return data_of(ledger).compared(ledger, names, x, y)


def _fronts(found: Comparison) -> View[Comparison]:
    def draw(found: Comparison) -> Any:
        lines = [FrontLine(s.record.name, [(m.x, m.y, m.number) for m in s.front]) for s in found.searches]
        figure = fronts_figure(found.x, found.y, lines, _addresses(found))
        plot = html.Div(chart("compared-fronts", figure), className="opens-trials")
        return dmc.Stack([_choices(found), plot, *_thinned([len(s.front) for s in found.searches])])

    title = f"Fronts: {found.y.title} against {found.x.title}"
    return View(title, lambda: found, lambda _: None, draw, ABOUT_FRONTS)


def _choices(found: Comparison) -> Any:
    """Select boxes of the two objectives; each leaves out what the other one shows."""
    boxes = []
    for (name, label), mine, other in zip(
        CHOICES.items(), (found.x, found.y), (found.y, found.x), strict=True
    ):
        options = [
            {"value": n, "label": _capital(objective(n).heading)} for n in found.shared if n != other.name
        ]
        boxes.append(
            dmc.Select(
                id=f"compared-{name}", label=label, data=options, value=mine.name, allowDeselect=False, w=260
            )
        )
    return dmc.Group(boxes)


def _growth(found: Comparison) -> View[Comparison]:
    def draw(found: Comparison) -> Any:
        lines = [
            GrowthLine(s.record.name, [(g.trained, g.epochs, g.seconds, g.share, g.number) for g in s.growth])
            for s in found.searches
        ]
        plot = html.Div(
            chart("compared-growth", growth_figure(lines, _addresses(found))), className="opens-trials"
        )
        box = dmc.Text(_box(found), id="compared-box", size="sm")  # beside the title, it would be redrawn
        return dmc.Stack([box, plot, *_thinned([len(s.growth) for s in found.searches], PLOTS)])

    return View("Hypervolume in a common box", lambda: found, lambda _: None, draw, ABOUT_GROWTH)


def _box(found: Comparison) -> str:
    corners = (
        f"{o.title} {o.told(found.ideal[o.name])} to {o.told(found.reference[o.name])}"
        for o in (found.x, found.y)
    )
    return f"The box: {' and '.join(corners)}."


def _table(found: Comparison) -> View[Comparison]:
    title = "What differs, and what came of it"
    return View(title, lambda: found, lambda _: None, _draw_table, ABOUT_DIFFERENCES)


def _draw_table(found: Comparison) -> Any:
    names = [_link(s.record.name, search_path(s.record.name)) for s in found.searches]
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(""), *map(dmc.TableTh, names)]))
    settings = [_row(_capital(name), values) for name, values in found.settings]
    body = dmc.TableTbody([*settings, *_results(found)], id="compared-merits")
    return dmc.TableScrollContainer(
        dmc.Table([head, body], striped=True, className="compared"), minWidth=200 + 180 * len(names)
    )


def _results(found: Comparison) -> list[Any]:
    searches = found.searches
    rows = [("Trials that have ended", [f"{_ended(s)} of {s.record.trials}" for s in searches])]
    rows += [(f"Best {objective(name).title}", [_best(s, name) for s in searches]) for name in found.shared]
    rows += [
        ("On its front here", [str(len(s.front)) for s in searches]),
        (f"Of the {found.joint} on the front of all", [_share(s.joint, found.joint) for s in searches]),
        ("Hypervolume in the common box", [_told_volume(s.hypervolume) for s in searches]),
        (
            "Epochs trained in all",
            [str(s.growth[-1].epochs) if s.growth else MISSING for s in searches],
        ),
        (
            "Time to its last trial",
            [lasting(s.growth[-1].seconds) if s.growth else MISSING for s in searches],
        ),
    ]
    return [_row(title, cells) for title, cells in rows]


def _members(found: Comparison) -> View[Comparison]:
    """The fronts as a table, the twin of the figure."""
    columns = [
        {"field": "search", "headerName": "Search"},
        link_column("trial", "Trial"),
        *(
            {"field": o.name, "headerName": _capital(o.heading), "type": "rightAligned"}
            for o in (found.y, found.x)
        ),
        {"field": "joint", "headerName": "On the front of all"},
    ]

    def draw(found: Comparison) -> Any:
        rows = [
            {
                "id": f"{s.record.name}/{m.number}",
                "search": s.record.name,
                "trial": f"[{m.number}]({trial_path(s.record.name, m.number)})",
                found.x.name: found.x.show(m.x),
                found.y.name: found.y.show(m.y),
                "joint": "yes" if m.is_joint else "",
            }
            for s in found.searches
            for m in s.front
        ]
        return grid("compared-members", columns, rows)

    return View("The fronts as a table", lambda: found, lambda _: None, draw, "The same trials as above.")


def _addresses(found: Comparison) -> list[str]:
    """Of each search's trials, without their numbers."""
    return [f"{search_path(s.record.name)}/trial/" for s in found.searches]


def _thinned(counts: Sequence[int], plots: int = 1) -> list[Any]:
    """Which points are drawn, where not all are."""
    most = most_of_each(plots * len(counts))
    if max(counts) <= most:
        return []
    told = f"Of each search at most {most} of its points are drawn, evenly taken."
    return [dmc.Text(told, size="sm", c="dimmed")]


def _row(title: str, cells: Sequence[Any]) -> Any:
    return dmc.TableTr([dmc.TableTh(title, w=200), *map(dmc.TableTd, cells)])


def _ended(search: ComparedSearch) -> int:
    return sum(count for state, count in search.record.counts.items() if state.finished)


def _best(search: ComparedSearch, name: str) -> Any:
    best = next(best for best in search.best if best.of.name == name)
    where = _link(f"trial {best.number}", trial_path(search.record.name, best.number))
    return [f"{best.of.told(best.value)} (", where, ")"]


def _share(count: int, total: int) -> str:
    return f"{count} ({count / total:.0%})" if total else MISSING


def _told_volume(share: float | None) -> str:
    return MISSING if share is None else f"{share:.3f}"


def _link(text: str, href: str) -> Any:
    return dmc.Anchor(text, href=href, size="sm")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]

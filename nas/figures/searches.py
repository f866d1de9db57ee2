"""Searches over one another: their fronts in two objectives, and how their hypervolumes grew."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.figures.inert import inert
from nas.figures.style import blank_figure
from nas.objectives import Objective

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Each readable on white and on black, and told apart by its mark and its dashes as well.
COLOURS = ("#4c7ef3", "#e8890c", "#2f9e44", "#be4bdb", "#0c9aa8", "#e03131", "#a0692b", "#868e96")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "8px 3px 2px 3px", "2px 6px")
MOST_POINTS = 2000
"""So many points a figure draws at most; of more, evenly taken ones."""
MINUTE_S, HOUR_S = 60.0, 3600.0
LOG_FROM = 20.0
"""Times that the longest line is longer than the shortest, from which the axis is logarithmic."""
HOURS_FROM = 3 * HOUR_S
PLOTS = 3
"""In which the growth of each search is drawn."""
FRONTS_HEIGHT, GROWTH_HEIGHT = 560, 420


class FrontLine(NamedTuple):
    """The front of a search: each of its members' x, y, and trial."""

    search: str
    members: Sequence[tuple[float, float, int]]


class GrowthLine(NamedTuple):
    """How a search's hypervolume grew: trials trained, epochs, seconds, share of the box, and trial."""

    search: str
    steps: Sequence[tuple[int, int, float, float, int]]


def fronts_figure(
    x: Objective, y: Objective, lines: Sequence[FrontLine], addresses: Sequence[str]
) -> "go.Figure":
    """The fronts over one another; ``addresses`` are those of the searches' trials, without their numbers.

    ``customdata`` of a point is the address of its trial.
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    for place, (line, address) in enumerate(zip(lines, addresses, strict=True)):
        members = thinned(line.members, most_of_each(len(lines)))
        told = [
            f"<b>{inert(line.search)}</b>, trial {number}<br>{inert(_value(y, b))}<br>{inert(_value(x, a))}"
            for a, b, number in members
        ]
        figure.add_trace(
            go.Scatter(
                name=inert(line.search),
                x=[a for a, _, _ in members],
                y=[b for _, b, _ in members],
                customdata=[f"{address}{number}" for _, _, number in members],
                hovertext=told,
                hovertemplate="%{hovertext}<extra></extra>",
                mode="lines+markers",
                line={"shape": "vh" if x.is_maximized else "hv", "width": 1.5, **_look(place)},
                marker={"size": 10, "symbol": SYMBOLS[place], "color": COLOURS[place]},
            )
        )
    figure.update_xaxes(title=_title(x), **_ticks(x))
    figure.update_yaxes(title=_title(y), **_ticks(y))
    figure.update_layout(height=FRONTS_HEIGHT)
    return figure


def growth_figure(lines: Sequence[GrowthLine], addresses: Sequence[str]) -> "go.Figure":
    """The hypervolume of each search over trials, epochs and time, as stairs: three plots with one y axis."""
    import plotly.graph_objects as go

    figure = blank_figure()
    longest = max((step[2] for line in lines for step in line.steps), default=0.0)
    unit, unit_s = ("hours", HOUR_S) if longest > HOURS_FROM else ("minutes", MINUTE_S)
    titles = "Complete trials", "Epochs trained", f"Time since the first trial began ({unit})"
    for place, (line, address) in enumerate(zip(lines, addresses, strict=True)):
        steps = thinned(line.steps, most_of_each(PLOTS * len(lines)))
        told = [
            f"<b>{inert(line.search)}</b>, trial {number}<br>hypervolume {share:.4f}<br>"
            f"{trained} complete, {epochs} epochs, {seconds / unit_s:.3g} {unit}"
            for trained, epochs, seconds, share, number in steps
        ]
        for panel, across in enumerate(_across(steps, unit_s), start=1):
            figure.add_trace(
                go.Scatter(
                    name=inert(line.search),
                    legendgroup=inert(line.search),
                    showlegend=panel == 1,
                    x=across,
                    y=[step[3] for step in steps],
                    xaxis=f"x{panel}" if panel > 1 else "x",
                    customdata=[f"{address}{step[4]}" for step in steps],
                    hovertext=told,
                    hovertemplate="%{hovertext}<extra></extra>",
                    mode="lines+markers",
                    line={"shape": "hv", "width": 2, **_look(place)},
                    marker={"size": 6, "symbol": SYMBOLS[place], "color": COLOURS[place]},
                )
            )
    panels = {
        f"xaxis{panel if panel > 1 else ''}": {
            "title": title,
            **_scale([_across(line.steps, unit_s)[panel - 1] for line in lines]),
            "domain": [(panel - 1) * 0.345, (panel - 1) * 0.345 + 0.31],
        }
        for panel, title in enumerate(titles, start=1)
    }
    figure.update_layout(**panels, height=GROWTH_HEIGHT)
    figure.update_yaxes(title="Hypervolume (share of the box)", rangemode="tozero")
    return figure


def most_of_each(lines: int) -> int:
    """How many points each of so many lines may have."""
    return MOST_POINTS // max(1, lines)


def thinned(points: Sequence[Any], most: int) -> Sequence[Any]:
    """Evenly taken ones of more than ``most``, the first and the last among them."""
    if len(points) <= most:
        return points
    step = (len(points) - 1) / (most - 1)
    return [points[round(place * step)] for place in range(most)]


def _across(steps: Sequence[tuple[int, int, float, float, int]], unit_s: float) -> list[list[float]]:
    return [
        [trained for trained, *_ in steps],
        [epochs for _, epochs, *_ in steps],
        [seconds / unit_s for _, _, seconds, *_ in steps],
    ]


def _scale(across: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Logarithmic where one line is so much longer than another that the shorter one would be a point."""
    ends = [values[-1] for values in across if values]
    is_log = min(map(min, filter(None, across)), default=0.0) > 0 and max(ends) > LOG_FROM * min(ends)
    return {"type": "log", "dtick": 1} if is_log else {"rangemode": "tozero"}


def _look(place: int) -> dict[str, str]:
    return {"color": COLOURS[place], "dash": DASHES[place]}


def _value(of: Objective, value: float) -> str:
    return f"{of.title} {of.told(value)}"


def _title(of: Objective) -> str:
    return inert(of.heading[0].upper() + of.heading[1:])


def _ticks(of: Objective) -> dict[str, Any]:
    return {"tickformat": ".1%"} if of.name == "accuracy" else {}

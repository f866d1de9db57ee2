"""The Pareto figure of a search: one objective against another, drawn from nas.figures.data."""

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING, Any

from nas.figures.data import Axis, ParetoData, Point
from nas.figures.inert import inert
from nas.figures.style import (
    ACCENT,
    INK,
    LIMIT,
    MUTED_COLOUR,
    SIZE_SCALE,
    STATE_COLOURS,
    blank_figure,
    percent_ticks,
)
from nas.formatting import MISSING
from nas.objectives import objective

if TYPE_CHECKING:
    import plotly.graph_objects as go

FRONT = "Pareto front"
STRIP_ROW = 0.055  # height of one row of ticks under the plot, as a share of the whole
LOG_AXIS_FROM = 20.0  # a latency axis that spans more than this factor is logarithmic


def pareto_figure(data: ParetoData) -> "go.Figure":
    """An objective against another, a third as colour; ``customdata`` of a point is its trial's number."""
    figure = blank_figure()
    if len(data.best) > 1:
        figure.add_trace(_staircase(data))
    trained = (*data.front, *data.dominated)
    if data.dominated:
        figure.add_trace(_cloud("dominated", data, data.dominated, size=10, opacity=0.5))
    if data.front:
        figure.add_traces(_measured(data.front))
        figure.add_trace(_cloud(FRONT, data, data.front, size=16, opacity=1.0))
    if data.without_y:
        _add_strip(figure, data.without_y)
    _x_axis(figure, data)
    _y_axis(figure, data.y, [p.y for p in trained if p.y is not None])
    return figure


def title_of(x: Axis, y: Axis) -> str:
    """Such as ``accuracy against latency``."""
    return f"{objective(y.name).title} against {objective(x.name).title}"


def add_title(figure: "go.Figure", text: str) -> None:
    """A title above the legend, for a figure that stands alone."""
    place = {"x": 0.0, "xref": "paper", "xanchor": "left", "y": 1.0, "yref": "container", "yanchor": "top"}
    figure.update_layout(
        title={"text": inert(text), "font": {"size": 20}, "pad": {"t": 24}, **place}, margin={"t": 120}
    )


def _cloud(name: str, data: ParetoData, points: Sequence[Point], size: int, opacity: float) -> "go.Scatter":
    """Trials as dots coloured by a third objective; both clouds share one colour scale."""
    import plotly.graph_objects as go

    on_front = name == FRONT
    colours = [p.colour for p in (*data.front, *data.dominated) if p.colour is not None]
    title = {"text": inert(data.colour.title) if data.colour else "", "side": "right", "font": {"size": 14}}
    return go.Scatter(
        name=name,
        x=[p.x for p in points],
        y=[p.y for p in points],
        customdata=[p.number for p in points],
        hovertext=[_hover(p) for p in points],
        hovertemplate="%{hovertext}<extra></extra>",
        legendrank=1 if on_front else 2,
        mode="markers+text" if on_front else "markers",
        text=[str(p.number) for p in points],
        textposition="top center",
        textfont={"size": 12, "color": INK},
        marker={
            "size": size,
            "opacity": opacity,
            "color": [p.colour for p in points] if colours else ACCENT,
            "colorscale": SIZE_SCALE,
            "cmin": min(colours, default=0.0),
            "cmax": max(colours, default=1.0),
            "showscale": on_front and bool(colours),
            "colorbar": {"title": title, "thickness": 12, "outlinewidth": 0},
            "line": {"width": 2 if on_front else 1, "color": INK if on_front else "white"},
        },
    )  # fmt: skip


def _staircase(data: ParetoData) -> "go.Scatter":
    import plotly.graph_objects as go

    return go.Scatter(
        name=_staircase_name(data.x, data.y),
        legendrank=3,
        x=[p.x for p in data.best],
        y=[p.y for p in data.best],
        mode="lines",
        line={"shape": "hv", "color": ACCENT, "width": 2},
        hoverinfo="skip",
    )


def _staircase_name(x: Axis, y: Axis) -> str:
    to = "from" if x.is_maximized else "up to"
    return inert(f"best {objective(y.name).title} {to} this {objective(x.name).title}")


def _measured(front: Sequence[Point]) -> list["go.Scatter"]:
    """A tick at the measured latency, and a line to it from the predicted one; worthless ones apart."""
    named = (
        ("measured latency", [p for p in front if not p.is_disturbed]),
        ("measured on a disturbed machine", [p for p in front if p.is_disturbed]),
    )
    found = (_ticks(name, points, name != named[0][0]) for name, points in named)
    return [trace for trace in found if trace is not None]


def _ticks(name: str, points: Sequence[Point], is_disturbed: bool) -> "go.Scatter | None":
    import plotly.graph_objects as go

    pairs = [(p.x, p.measured_x, p.y) for p in points if p.measured_x is not None]
    if not pairs:
        return None
    x: list[float | None] = []
    y: list[float | None] = []
    for predicted, measured, height in pairs:
        x += [predicted, measured, None]
        y += [height, height, None]
    return go.Scatter(
        name=name,
        legendrank=5 if is_disturbed else 4,
        x=x,
        y=y,
        mode="lines+markers",
        line={"color": MUTED_COLOUR, "width": 1.5, "dash": "dot" if is_disturbed else "solid"},
        marker={
            "symbol": "line-ns",
            "size": [0, 12, 0] * len(pairs),
            "line": {"width": 2, "color": MUTED_COLOUR if is_disturbed else INK},
        },
        hoverinfo="skip",
    )


def _add_strip(figure: "go.Figure", points: Sequence[Point]) -> None:
    """Trials that were not trained to the end: ticks under the plot, one row a state."""
    import plotly.graph_objects as go

    states = sorted({p.state for p in points})
    top = STRIP_ROW * len(states)
    for state in states:
        there = [p for p in points if p.state == state]
        figure.add_trace(
            go.Scatter(
                name=state,
                x=[p.x for p in there],
                y=[state] * len(there),
                yaxis="y2",
                customdata=[p.number for p in there],
                hovertext=[_hover(p) for p in there],
                hovertemplate="%{hovertext}<extra></extra>",
                mode="markers",
                showlegend=False,
                marker={
                    "symbol": "line-ns",
                    "size": 14,
                    "line": {"width": 2.5, "color": STATE_COLOURS.get(state, MUTED_COLOUR)},
                },
            )
        )
    figure.update_layout(
        yaxis={"domain": [top + 0.04, 1.0]},
        yaxis2={
            "domain": [0.0, top],
            "anchor": "x",
            "type": "category",
            "categoryarray": states,
            "range": [-0.5, len(states) - 0.5],
            "showgrid": False,
            "ticks": "",
            "fixedrange": True,
        },
        xaxis={"anchor": "y2"},
    )


def _y_axis(figure: "go.Figure", y: Axis, values: Sequence[float]) -> None:
    """A range with room for the numbers above the dots."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.1 * (high - low or 0.1)
    axis: dict[str, Any] = {"title": inert(y.title), "range": [low - 0.6 * room, high + room]}
    if y.name == "accuracy":
        axis["tickformat"] = percent_ticks(values)
    figure.update_layout(yaxis=axis)


def _x_axis(figure: "go.Figure", data: ParetoData) -> None:
    """A range that holds every value, predicted or measured, and the limit."""
    points = (*data.front, *data.dominated, *data.without_y)
    values = [p.x for p in points] + [m for p in data.front if (m := p.measured_x) is not None]
    limit = data.x.limit
    values += [limit] if limit else []
    values = [value for value in values if value > 0] or [1.0]
    low, high = min(values), max(values)
    axis: dict[str, Any] = {"title": inert(data.x.title)}
    if data.x.name == "accuracy":
        axis["tickformat"] = percent_ticks(values)
    if high > LOG_AXIS_FROM * low:
        axis |= {"type": "log", "range": [log10(low) - 0.08, log10(high) + 0.08], "dtick": "D2"}
    else:
        axis |= {
            "range": [
                0.0 if low < 0.5 * high else low - 0.08 * (high - low),
                high + 0.06 * (high - low or high),
            ]
        }
    figure.update_xaxes(**axis)
    if limit:
        _limit_line(figure, data.x, limit, is_log="type" in axis)


def _limit_line(figure: "go.Figure", x: Axis, limit: float, is_log: bool) -> None:
    line = {"color": LIMIT, "dash": "dash", "width": 1.5}
    figure.add_shape(type="line", xref="x", yref="paper", x0=limit, x1=limit, y0=0.0, y1=1.0, line=line)
    # On a logarithmic axis plotly places shapes by the value and annotations by its logarithm.
    where = log10(limit) if is_log else limit
    label = {"text": inert(f"limit {objective(x.name).told(limit)}"), "font": {"color": LIMIT, "size": 12}}
    figure.add_annotation(x=where, y=1.0, yref="paper", yanchor="bottom", showarrow=False, **label)


def _hover(point: Point) -> str:
    lines = [f"<b>Trial {point.number}</b>, {inert(point.state)}"]
    if point.notes:
        lines.append(f"<b>{inert(point.notes.capitalize())}</b>")
    lines += [f"{inert(title)} {inert(figure)}" for title, figure in point.figures if figure != MISSING]
    lines += [f"Layers {inert(point.precisions)}", f"Digest {inert(point.digest)}"]
    return "<br>".join(lines)

"""The Pareto figure of a search: accuracy against latency, drawn from nas.figures.data."""

from collections.abc import Sequence
from html import escape
from math import log10
from typing import TYPE_CHECKING, Any

from nas.figures.data import ParetoData, Point, kilobytes, milliseconds, percent
from nas.figures.style import (
    ACCENT,
    INK,
    LIMIT,
    MUTED,
    SIZE_SCALE,
    STATE_COLOURS,
    blank_figure,
    percent_ticks,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

FRONT = "Pareto front"
STRIP_ROW = 0.055  # height of one row of ticks under the plot, as a share of the whole
LOG_FROM = 20.0  # a latency axis that spans more than this factor is logarithmic


def pareto_figure(data: ParetoData) -> "go.Figure":
    """Accuracy against latency, size as colour; ``customdata`` of every point is its trial's number."""
    figure = blank_figure()
    if len(data.best) > 1:
        figure.add_trace(_staircase(data.best))
    sizes = [p.size_kb for p in (*data.front, *data.dominated) if p.size_kb is not None]
    if data.dominated:
        figure.add_trace(_cloud("beaten by another", data.dominated, sizes, size=10, opacity=0.5))
    if data.front:
        figure.add_traces(_measured(data.front))
        figure.add_trace(_cloud(FRONT, data.front, sizes, size=16, opacity=1.0))
    if data.without_accuracy:
        _add_strip(figure, data.without_accuracy)
    _latency_axis(figure, data)
    _accuracy_axis(figure, [p.accuracy for p in (*data.front, *data.dominated) if p.accuracy is not None])
    return figure


def add_title(figure: "go.Figure", text: str) -> None:
    """A title above the legend, for a figure that stands alone."""
    place = {"x": 0.0, "xref": "paper", "xanchor": "left", "y": 1.0, "yref": "container", "yanchor": "top"}
    figure.update_layout(
        title={"text": escape(text), "font": {"size": 20}, "pad": {"t": 24}, **place}, margin={"t": 120}
    )


def _cloud(
    name: str, points: Sequence[Point], sizes: Sequence[float], size: int, opacity: float
) -> "go.Scatter":
    """Trials as dots coloured by their size; both clouds share one colour scale."""
    import plotly.graph_objects as go

    on_front = name == FRONT
    title = {"text": "Size (kB)", "side": "right", "font": {"size": 14}}
    return go.Scatter(
        name=name,
        x=[p.latency_ms for p in points],
        y=[p.accuracy for p in points],
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
            "color": [p.size_kb for p in points],
            "colorscale": SIZE_SCALE,
            "cmin": min(sizes, default=0.0),
            "cmax": max(sizes, default=1.0),
            "showscale": on_front and bool(sizes),
            "colorbar": {"title": title, "thickness": 12, "outlinewidth": 0},
            "line": {"width": 2 if on_front else 1, "color": INK if on_front else "white"},
        },
    )  # fmt: skip


def _staircase(best: Sequence[Point]) -> "go.Scatter":
    import plotly.graph_objects as go

    return go.Scatter(
        name="most accurate within a latency",
        legendrank=3,
        x=[p.latency_ms for p in best],
        y=[p.accuracy for p in best],
        mode="lines",
        line={"shape": "hv", "color": ACCENT, "width": 2},
        hoverinfo="skip",
    )


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

    pairs = [
        (p.latency_ms, p.measured_latency_ms, p.accuracy) for p in points if p.measured_latency_ms is not None
    ]
    if not pairs:
        return None
    x: list[float | None] = []
    y: list[float | None] = []
    for predicted, measured, accuracy in pairs:
        x += [predicted, measured, None]
        y += [accuracy, accuracy, None]
    return go.Scatter(
        name=name,
        legendrank=5 if is_disturbed else 4,
        x=x,
        y=y,
        mode="lines+markers",
        line={"color": MUTED, "width": 1.5, "dash": "dot" if is_disturbed else "solid"},
        marker={
            "symbol": "line-ns",
            "size": [0, 12, 0] * len(pairs),
            "line": {"width": 2, "color": MUTED if is_disturbed else INK},
        },
        hoverinfo="skip",
    )


def _add_strip(figure: "go.Figure", points: Sequence[Point]) -> None:
    """Trials without an accuracy: ticks at their latency under the plot, one row a state."""
    import plotly.graph_objects as go

    states = sorted({p.state for p in points})
    top = STRIP_ROW * len(states)
    for state in states:
        there = [p for p in points if p.state == state]
        figure.add_trace(
            go.Scatter(
                name=state,
                x=[p.latency_ms for p in there],
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
                    "line": {"width": 2.5, "color": STATE_COLOURS.get(state, MUTED)},
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


def _accuracy_axis(figure: "go.Figure", accuracies: Sequence[float]) -> None:
    """A range with room for the numbers above the dots."""
    low, high = min(accuracies, default=0.0), max(accuracies, default=1.0)
    room = 0.1 * (high - low or 0.1)
    axis: dict[str, Any] = {"title": "Validation accuracy", "tickformat": percent_ticks(accuracies)}
    figure.update_layout(yaxis={**axis, "range": [low - 0.6 * room, high + room]})


def _latency_axis(figure: "go.Figure", data: ParetoData) -> None:
    """A range that holds every latency, predicted or measured, and the limit."""
    points = (*data.front, *data.dominated, *data.without_accuracy)
    values = [p.latency_ms for p in points] + [
        m for p in data.front if (m := p.measured_latency_ms) is not None
    ]
    limit = data.max_latency_ms
    values += [limit] if limit else []
    values = [value for value in values if value > 0] or [1.0]
    low, high = min(values), max(values)
    axis: dict[str, Any] = {"title": "Latency on the device (ms, predicted)"}
    if high > LOG_FROM * low:
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
        _limit_line(figure, limit, is_log="type" in axis)


def _limit_line(figure: "go.Figure", limit: float, is_log: bool) -> None:
    line = {"color": LIMIT, "dash": "dash", "width": 1.5}
    figure.add_shape(type="line", xref="x", yref="paper", x0=limit, x1=limit, y0=0.0, y1=1.0, line=line)
    # On a logarithmic axis plotly places shapes by the value and annotations by its logarithm.
    where = log10(limit) if is_log else limit
    label = {"text": f"limit {milliseconds(limit)} ms", "font": {"color": LIMIT, "size": 12}}
    figure.add_annotation(x=where, y=1.0, yref="paper", yanchor="bottom", showarrow=False, **label)


def _hover(point: Point) -> str:
    latency = f"{milliseconds(point.latency_ms)} ms predicted"
    if point.measured_latency_ms is not None:
        latency += f", {milliseconds(point.measured_latency_ms)} ms measured"
    lines = [f"<b>Trial {point.number}</b>, {escape(point.state)}"]
    if point.accuracy is not None:
        lines.append(f"Accuracy {percent(point.accuracy)}")
    if point.notes:
        lines.append(f"<b>{escape(point.notes.capitalize())}</b>")
    lines += [
        f"Latency {latency}",
        f"Size {kilobytes(point.size_kb)} kB",
        f"Layers {escape(point.precisions)}",
        f"Digest {escape(point.digest)}",
    ]
    return "<br>".join(lines)

"""The figures of one trial: where its time goes, and how its training went."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from nas.figures.data import Bar, Curve
from nas.figures.labels import TIMES
from nas.figures.style import ACCENT, INK, MUTED_COLOUR, blank_figure
from nas.formatting import milliseconds

if TYPE_CHECKING:
    import plotly.graph_objects as go


GAP = "\N{EN SPACE}"  # between a label and its bar


def workload_figure(bars: Sequence[Bar]) -> "go.Figure":
    """Where the time of a network goes: one bar a workload, the slowest on top."""
    import plotly.graph_objects as go

    figure = blank_figure()
    rows = list(range(len(bars)))  # rows by number: two workloads may read the same in short
    figure.add_trace(
        go.Bar(
            orientation="h",
            x=[bar.milliseconds for bar in bars],
            y=rows,
            text=[f"{milliseconds(bar.milliseconds)} ms" for bar in bars],
            hovertext=[escape(bar.workload).replace(",", ", ") for bar in bars],
            textposition="outside",
            textfont={"color": INK},
            cliponaxis=False,
            marker={"color": ACCENT, "cornerradius": 3},
            hovertemplate="%{hovertext}<br>%{text}<extra></extra>",
        )
    )
    labels = [
        escape(bar.label) + (f" <b>{TIMES}{bar.uses}</b>" if bar.uses > 1 else "") + GAP for bar in bars
    ]
    figure.update_xaxes(title="Time on the device (ms)", rangemode="tozero", exponentformat="none")
    figure.update_yaxes(
        autorange="reversed", showgrid=False, automargin=True, ticks="", tickvals=rows, ticktext=labels
    )
    figure.update_layout(height=120 + 30 * len(bars), bargap=0.3, showlegend=False, margin={"r": 90, "t": 40})
    return figure


def training_figure(curve: Curve) -> "go.Figure":
    """Validation accuracy above, training loss below, over the same epochs."""
    figure = blank_figure()
    figure.add_trace(_line(curve.epochs, curve.accuracy, "accuracy", ACCENT, "y"))
    figure.add_trace(_line(curve.epochs, curve.train_loss, "training loss", MUTED_COLOUR, "y2"))
    axis = {"title": "Accuracy", "range": _accuracy_range(curve.accuracy), "tickformat": ".0%"}
    ends = [min(curve.epochs) - 0.5, max(curve.epochs) + 0.5]
    step = max(1, len(curve.epochs) // 10)
    figure.update_layout(
        showlegend=False,
        height=360,
        margin={"t": 20},
        xaxis={"title": "Epoch", "range": ends, "tickformat": "d", "dtick": step, "anchor": "y2"},
        yaxis={**axis, "domain": [0.46, 1.0]},
        yaxis2={"title": "Loss", "domain": [0.0, 0.36], "rangemode": "tozero"},
    )
    return figure


def _accuracy_range(accuracy: Sequence[float | None]) -> list[float]:
    """Around the values, within 0 and 1, and never so narrow that noise looks like progress."""
    known = [value for value in accuracy if value is not None] or [0.0, 1.0]
    low, high = min(known), max(known)
    room = max(0.05, 0.15 * (high - low))
    return [max(0.0, low - room), min(1.0, high + room) + 0.005]


def _line(x: Sequence[int], y: Sequence[float | None], name: str, colour: str, axis: str) -> "go.Scatter":
    import plotly.graph_objects as go

    return go.Scatter(
        x=x, y=y, name=name, yaxis=axis, mode="lines+markers", line={"color": colour, "width": 2},
        marker={"size": 7}, hovertemplate=f"epoch %{{x}}: {name} %{{y}}<extra></extra>",
    )  # fmt: skip

"""The figures of trials side by side: their learning curves, and the times of their networks' parts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nas.figures.cost_figures import TimeUnit
from nas.figures.inert import inert
from nas.figures.style import blank_figure
from nas.figures.trial import accuracy_range

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = ("#3b7dd8", "#e8890c", "#2f9e6e", "#c2488a", "#8a6fd1", "#b59f00", "#d1495b", "#2aa7b8")
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash")
PATTERNS = ("", "/", "\\", "x", "-", "|", "+", ".")
"""What tells trials apart, by their places; symbols and patterns do without colour."""


def curves_figure(curves: Mapping[int, Sequence[tuple[int, float]]], numbers: Sequence[int]) -> "go.Figure":
    """The accuracy of each trial by epoch; ``numbers`` give their places, also of those without a curve."""
    import plotly.graph_objects as go

    figure = blank_figure()
    for place, number in enumerate(numbers):
        if curve := curves.get(number):
            figure.add_trace(
                go.Scatter(
                    name=f"Trial {number}",
                    x=[epoch for epoch, _ in curve],
                    y=[accuracy for _, accuracy in curve],
                    mode="lines+markers",
                    line={"color": COLOURS[place], "dash": DASHES[place], "width": 2},
                    marker={"symbol": SYMBOLS[place], "size": 8},
                    hovertemplate=f"trial {number}, epoch %{{x}}: %{{y:.1%}}<extra></extra>",
                )
            )
    points = [point for curve in curves.values() for point in curve]
    last = max((epoch for epoch, _ in points), default=1)
    figure.update_xaxes(title="Epoch", tickformat="d", dtick=max(1, last // 10), range=[0.5, last + 0.5])
    accuracies = accuracy_range([accuracy for _, accuracy in points])
    figure.update_yaxes(title="Validation accuracy", tickformat=".0%", range=accuracies)
    figure.update_layout(height=380, showlegend=True)
    return figure


def parts_figure(
    times: Sequence[Mapping[str, float]], parts: Sequence[str], numbers: Sequence[int]
) -> "go.Figure":
    """Grouped bars: the time of each part of the networks, from the stem to the head, one bar a trial."""
    import plotly.graph_objects as go

    figure = blank_figure()
    unit = TimeUnit.of([time for mine in times for time in mine.values()])
    for place, (number, mine) in enumerate(zip(numbers, times, strict=True)):
        figure.add_trace(
            go.Bar(
                name=f"Trial {number}",
                x=[inert(part) for part in parts],
                y=[unit.of_ms(mine[part]) if part in mine else None for part in parts],
                marker={"color": COLOURS[place], "pattern": {"shape": PATTERNS[place], "size": 6}},
                customdata=[unit.told(mine[part]) if part in mine else "" for part in parts],
                hovertemplate=f"trial {number}, %{{x}}: %{{customdata}}<extra></extra>",
            )
        )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(title=f"Kernels of the part ({unit.name})", rangemode="tozero", exponentformat="none")
    figure.update_layout(barmode="group", height=380, showlegend=True)
    return figure

"""The figure of one trial's training: accuracy and loss by epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.figures.data import Curve
from nas.figures.style import ACCENT, MUTED_COLOUR, blank_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go


def training_figure(curve: Curve) -> "go.Figure":
    """Validation accuracy above, training loss below, over the same epochs."""
    figure = blank_figure()
    figure.add_trace(_line(curve.epochs, curve.accuracy, "accuracy", ACCENT, "y"))
    figure.add_trace(_line(curve.epochs, curve.train_loss, "training loss", MUTED_COLOUR, "y2"))
    axis = {"title": "Accuracy", "range": accuracy_range(curve.accuracy), "tickformat": ".0%"}
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


def accuracy_range(accuracy: Sequence[float | None]) -> list[float]:
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

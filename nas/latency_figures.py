"""Figures of latency: predicted against measured, and the time of a network by layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.figure_style import ACCENT, MUTED, blank_figure
from nas.figures import add_title

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nas.calibration import Evaluation


def scatter(found: "Evaluation", title: str) -> "go.Figure":
    """Each network as a dot, predicted against measured, with a line where the two are equal."""
    import plotly.graph_objects as go

    figure = blank_figure()
    measured = [n.measured_ms for n in found.networks]
    ends = [min(measured) * 0.9, max(measured) * 1.1]
    figure.add_trace(
        go.Scatter(
            name="equal", x=ends, y=ends, mode="lines", line={"color": MUTED, "dash": "dot"}, hoverinfo="skip"
        )
    )
    figure.add_trace(
        go.Scatter(
            name="networks",
            x=measured,
            y=[n.predicted_ms for n in found.networks],
            mode="markers",
            marker={"color": ACCENT, "size": 8},
            customdata=[[n.digest[:12], n.error] for n in found.networks],
            hovertemplate="%{customdata[0]}<br>measured %{x:.3g} ms<br>"
            "predicted %{y:.3g} ms (%{customdata[1]:+.1%})<extra></extra>",
        )
    )
    figure.update_xaxes(title="Measured (ms)", type="log")
    figure.update_yaxes(title="Predicted (ms)", type="log")
    add_title(figure, f"{title}: mean absolute error {found.mape:.1%}")
    return figure


def bars(layers: Sequence[tuple[str, float]], title: str) -> "go.Figure":
    """The time of each kernel, by layer, in the order in which they run."""
    import plotly.graph_objects as go

    figure = blank_figure()
    names = [f"{number}. {layer}" for number, (layer, _) in enumerate(layers, start=1)]
    figure.add_trace(
        go.Bar(
            x=[ms for _, ms in layers],
            y=names,
            orientation="h",
            marker={"color": ACCENT},
            hovertemplate="%{y}<br>%{x:.3g} ms<extra></extra>",
        )
    )
    figure.update_xaxes(title="Milliseconds")
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(height=max(400, 24 * len(layers)), showlegend=False)
    add_title(figure, title)
    return figure

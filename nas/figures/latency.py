"""Figures of latency: predicted against measured, and the time of a network by layer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.figures.search import add_title
from nas.figures.style import ACCENT, MUTED_COLOUR, blank_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from latency.model.evaluation import Evaluation


def scatter(found: "Evaluation", title: str) -> "go.Figure":
    """Each network as a dot, predicted against measured, with a line where the two are equal."""
    import plotly.graph_objects as go

    figure = blank_figure()
    measured = [n.measured_ms for n in found.networks]
    ends = [min(measured) * 0.9, max(measured) * 1.1]
    figure.add_trace(
        go.Scatter(
            name="equal",
            x=ends,
            y=ends,
            mode="lines",
            line={"color": MUTED_COLOUR, "dash": "dot"},
            hoverinfo="skip",
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


def bars(layers: Sequence[Mapping[str, Any]], title: str) -> "go.Figure":
    """The time of each kernel, by layer, in the order in which they run.

    ``layers`` hold each kernel's ``layer``, ``milliseconds`` and ``how`` it is known: measured or estimated.
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    names = [f"{number}. {row['layer']}" for number, row in enumerate(layers, start=1)]
    for how, color in (("measured", ACCENT), ("estimated", MUTED_COLOUR)):
        chosen = [i for i, row in enumerate(layers) if row["how"] == how]
        figure.add_trace(
            go.Bar(
                name=f"{how}, each alone",
                x=[layers[i]["milliseconds"] for i in chosen],
                y=[names[i] for i in chosen],
                orientation="h",
                marker={"color": color},
                hovertemplate=f"%{{y}}<br>%{{x:.3g}} ms, {how}<extra></extra>",
            )
        )
    figure.update_xaxes(title="Milliseconds", exponentformat="none", rangemode="tozero")
    figure.update_yaxes(
        autorange="reversed",
        type="category",
        categoryorder="array",
        categoryarray=names,
        automargin=True,
        dtick=1,
    )
    figure.update_layout(height=max(400, 24 * len(layers)), barmode="overlay")
    add_title(figure, title)
    return figure

"""Figures of latency: predicted against measured, and the time of a network by layer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.figures.data import SHORT_DIGEST
from nas.figures.inert import inert
from nas.figures.search import add_title
from nas.figures.style import ACCENT, LIMIT, MUTED_COLOUR, blank_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from latency.model.evaluation import ComparedNetwork, Evaluation

    Named = tuple[str, ComparedNetwork]


def scatter(found: "Evaluation", title: str) -> "go.Figure":
    """Each network as a dot, predicted against measured, with a line where the two are equal."""
    figure = predicted_figure([(network.digest[:SHORT_DIGEST], network) for network in found.networks])
    add_title(figure, f"{title}: mean absolute error {found.mape:.1%}")
    return figure


def predicted_figure(networks: "Sequence[Named]", summed: "Sequence[Named]" = ()) -> "go.Figure":
    """Predicted against measured, of networks by name with their intervals; a cross is a disturbed machine.

    ``summed`` are networks whose prediction is nothing but the sum of their kernels.
    """
    figure = blank_figure()
    measured = [network.measured_ms for _, network in (*networks, *summed)]
    ends = [min(measured) * 0.9, max(measured) * 1.1]
    line = {"color": MUTED_COLOUR, "dash": "dot"}
    figure.add_scatter(name="equal", x=ends, y=ends, mode="lines", line=line, hoverinfo="skip")
    good = [named for named in networks if not named[1].disturbed]
    bad = [named for named in networks if named[1].disturbed]
    cross = {"color": LIMIT, "symbol": "x-thin", "size": 10, "line": {"width": 2, "color": LIMIT}}
    if summed:
        hollow = {"color": MUTED_COLOUR, "symbol": "square-open", "size": 8}
        figure.add_trace(_compared("learned from: the sum of its kernels", summed, hollow))
    if good:
        figure.add_trace(_compared("networks", good, {"color": ACCENT, "size": 8}))
    if bad:
        figure.add_trace(_compared("on a disturbed machine", bad, cross))
    figure.update_xaxes(title="Measured (ms)", type="log")
    figure.update_yaxes(title="Predicted (ms)", type="log")
    return figure


def _compared(name: str, named: "Sequence[Named]", marker: dict[str, Any]) -> "go.Scatter":
    """Networks as marks, and the intervals of those that have one."""
    import plotly.graph_objects as go

    networks = [network for _, network in named]
    above = [0.0 if n.high_ms is None else n.high_ms - n.predicted_ms for n in networks]
    below = [0.0 if n.low_ms is None else n.predicted_ms - n.low_ms for n in networks]
    intervals = {"type": "data", "array": above, "arrayminus": below, "thickness": 1, "width": 0}
    return go.Scatter(
        name=name,
        x=[n.measured_ms for n in networks],
        y=[n.predicted_ms for n in networks],
        error_y=intervals if any(above) else None,
        mode="markers",
        marker=marker,
        customdata=[[inert(called), n.error, inert(n.disturbed or "")] for called, n in named],
        hovertemplate="%{customdata[0]}<br>measured %{x:.3g} ms<br>"
        "predicted %{y:.3g} ms (%{customdata[1]:+.1%})<br>%{customdata[2]}<extra></extra>",
    )


def bars(layers: Sequence[Mapping[str, Any]], title: str) -> "go.Figure":
    """The time of each kernel, by layer, in the order in which they run.

    ``layers`` hold each kernel's ``layer``, ``milliseconds`` and ``how`` it is known: measured or estimated.
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    names = [inert(f"{number}. {row['layer']}") for number, row in enumerate(layers, start=1)]
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

"""The hypervolume of a search over its trials, drawn as stairs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.figures.style import ACCENT, blank_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go


def hypervolume_figure(steps: Sequence[tuple[int, int, float]]) -> "go.Figure":
    """Stairs of what the front dominates, from (trials trained by then, trial's number, share of the box).

    ``customdata`` of a point is its trial's number.
    """
    import plotly.graph_objects as go

    figure = blank_figure()
    figure.add_trace(
        go.Scatter(
            x=[trained for trained, _, _ in steps],
            y=[share for _, _, share in steps],
            customdata=[number for _, number, _ in steps],
            mode="lines+markers" if len(steps) <= 100 else "lines",
            line={"shape": "hv", "color": ACCENT, "width": 2},
            hovertemplate="Trial %{customdata}<br>Hypervolume %{y:.4f}<br>%{x} trained<extra></extra>",
        )
    )
    figure.update_xaxes(title="Trials trained", rangemode="tozero")
    figure.update_yaxes(title="Hypervolume (share of the box)", range=[0.0, 1.02])
    return figure

"""The one look of all figures: colours, font, axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK = "#212529"
MUTED_COLOUR = "#868e96"
GRID = "#e9ecef"
ACCENT = "#3b5bdb"
LIMIT = "#e03131"
# Viridis without its yellow end, which is lost on white; small networks are green.
SIZE_SCALE = [[0.0, "#5ec962"], [0.35, "#21918c"], [0.7, "#3b528b"], [1.0, "#440154"]]
STATE_COLOURS = {
    "complete": "#2f9e44",
    "running": "#1c7ed6",
    "queued": "#868e96",
    "paused": "#0c8599",
    "infeasible": "#e03131",
    "pruned": "#f08c00",
    "failed": "#862e9c",
}
FONT = "-apple-system, BlinkMacSystemFont, Segoe UI, Roboto, Helvetica, Arial, sans-serif"


def blank_figure() -> "go.Figure":
    """An empty figure in the house style: white, light grid, one font, axis titles with room."""
    import plotly.graph_objects as go

    font = {"family": FONT, "size": 13, "color": INK}
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": "#ced4da",
        "tickcolor": "#ced4da",
        "ticks": "outside",
        "title": {"font": {"size": 14, "color": "#495057"}, "standoff": 12},
        "tickfont": {"size": 12, "color": "#495057"},
    }
    layout = go.Layout(
        font=font,
        paper_bgcolor="white",
        plot_bgcolor="white",
        xaxis=axis,
        yaxis=axis,
        hoverlabel={"bgcolor": "white", "bordercolor": "#ced4da", "font": font},
        legend={"orientation": "h", "x": 0, "y": 1.06, "yanchor": "bottom", "itemsizing": "trace"},
        margin={"l": 70, "r": 30, "t": 70, "b": 60},
        hovermode="closest",
    )  # fmt: skip
    return go.Figure(layout={"template": {"layout": layout}})


def percent_ticks(values: Sequence[float]) -> str:
    """Whole percents, unless the values lie so close that their ticks would read the same."""
    return ".1%" if values and max(values) - min(values) < 0.06 else ".0%"

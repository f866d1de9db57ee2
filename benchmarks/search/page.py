"""Tables in a page of the docs, between marks, so that a command can write them anew; and the picture."""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from benchmarks.search.runs import Run
from benchmarks.search.summary import mean_curve
from benchmarks.search.train_digits import machine

SHOWN_EVERY = 4
"""Trials between two points of a curve."""
FEWEST = 12
"""Trials from which on curves are drawn."""


def told_by(command: str) -> str:
    """By which command a table was made, when and where."""
    return f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}."


def draw(runs: Mapping[str, list[Run]], title: str, picture: Path) -> None:
    """The share of the hypervolume that is missing, over trials: the mean of all seeds."""
    from benchmarks.picture import main

    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "page.html"
        figure(runs, title).write_html(html)
        CliRunner().invoke(main, [str(html), str(picture)], catch_exceptions=False)


def figure(runs: Mapping[str, list[Run]], title: str) -> Any:
    """The picture as plotly has it; random search and Optuna's samplers are dashed."""
    import plotly.graph_objects as go

    found = go.Figure()
    for name, own in sorted(runs.items(), key=lambda item: mean_curve(item[1])[-1]):
        curve = mean_curve(own)
        places = range(FEWEST - 1, len(curve), SHOWN_EVERY)
        is_rival = name == "random" or name.startswith("optuna")
        found.add_scatter(
            x=[place + 1 for place in places],
            y=[float(1 - curve[place]) for place in places],
            mode="lines",
            name=name,
            line={"dash": "dot" if is_rival else "solid", "width": 3 if name == "auto" else 1.5},
        )
    found.update_layout(
        template="simple_white",
        title={"text": title, "font": {"size": 14}},
        xaxis={"title": "trials"},
        yaxis={"title": "share of the hypervolume that is missing", "type": "log"},
        legend={"traceorder": "reversed"},
        margin={"l": 70, "r": 20, "t": 50, "b": 50},
    )
    return found

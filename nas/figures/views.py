"""The views of a search as figures that stand alone: from the columns that the linked views draw."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.figures.frame import NO_OPTION
from nas.figures.importance import explained
from nas.figures.inert import inert
from nas.figures.style import ACCENT, MUTED_COLOUR, SIZE_SCALE, STATE_COLOURS, blank_figure, percent_ticks
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    import plotly.graph_objects as go

Frame = Mapping[str, Any]
"""As ``nas.figures.frame.frame_of`` gives it."""

MOST_BARS = 20
MOST_CHOICES = 5
"""Choices beside each other; with more, nobody follows a line."""
MOST_LINES = 2000
"""Lines of the parallel coordinates; of more trials they are taken evenly."""
MOST_POINTS = 60
"""Trials of an option from which on only the outliers are drawn beside its box."""


def parallel_figure(frame: Frame) -> "go.Figure":
    """Choices and objectives side by side, a line a trial, coloured by the objective along y.

    Raises:
        BitnasError: no trial has all that is shown.
    """
    import plotly.graph_objects as go

    axes, columns, y = frame["axes"], frame["columns"], frame["begins"]["y"]
    shown = [axis for axis in axes if axis["name"] in frame["objectives"]]
    places = _evenly([at for at in _places(frame) if all(columns[a["name"]][at] is not None for a in shown)])
    if not places or y not in columns:
        raise BitnasError("figure: no trial has all of the objectives yet; wait for the first trials")
    dimensions = [_options_axis(choice, places) for choice in _telling(frame, y)[:MOST_CHOICES]]
    dimensions += [_objective_axis(axis, columns[axis["name"]], places) for axis in shown]
    colours = [columns[y][at] for at in places]
    bar = {"thickness": 12, "title": {"text": _title(frame, y), "side": "right"}}
    line = {"color": colours, "colorscale": SIZE_SCALE, "showscale": True, "colorbar": bar}
    figure = blank_figure()
    figure.add_trace(go.Parcoords(dimensions=dimensions, line=line, labelangle=-20))
    figure.update_layout(margin={"l": 90, "t": 150}, height=520)
    return figure


def importance_figure(frame: Frame, of: str) -> "go.Figure":
    """A bar a choice: the share of the variance of ``of`` that its options explain.

    Raises:
        BitnasError: too few trials have a value, or no choice has two options.
    """
    import plotly.graph_objects as go

    found = explained(frame, of)[:MOST_BARS]
    if not found:
        raise BitnasError("figure: it takes three trials with this value, and a choice with two options")
    names, shares = zip(*reversed(found), strict=True)
    figure = blank_figure()
    figure.add_trace(
        go.Bar(
            orientation="h",
            x=shares,
            y=[inert(name) for name in names],
            marker={"color": ACCENT, "cornerradius": 3},
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    title = f"Share of the variance of {_title(frame, of).lower()} that it explains"
    figure.update_xaxes(title=title, tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(automargin=True, showgrid=False, ticks="")
    figure.update_layout(height=160 + 26 * len(found), showlegend=False)
    return figure


def options_figure(frame: Frame, of: str, by: str) -> "go.Figure":
    """A box an option of the choice ``by``: the values of ``of`` of the trials that have it.

    Raises:
        BitnasError: no trial has a value.
    """
    import plotly.graph_objects as go

    (choice,) = [each for each in frame["choices"] if each["name"] == by]
    values, numbers = frame["columns"][of], frame["columns"]["number"]
    figure = blank_figure()
    for place in [*range(len(choice["options"])), NO_OPTION]:
        there = [at for at, taken in enumerate(choice["taken"]) if taken == place and values[at] is not None]
        if there:
            option = "not chosen" if place == NO_OPTION else choice["options"][place]
            figure.add_trace(
                go.Box(
                    name=f"{inert(option)} ({len(there)})",
                    y=[values[at] for at in there],
                    hovertext=[f"trial {numbers[at]}" for at in there],
                    boxpoints="all" if len(there) <= MOST_POINTS else "outliers",
                    jitter=0.5,
                    pointpos=0,
                    marker={"size": 5, "color": ACCENT},
                )
            )
    if not figure.data:
        raise BitnasError(f"figure: no trial has a value of {of} yet; wait for the first trials")
    figure.update_xaxes(title=f"{inert(by)} (trials)", showgrid=False)
    figure.update_yaxes(title=_title(frame, of), tickformat=_ticks(frame, of))
    figure.update_layout(showlegend=False)
    return figure


def curves_figure(frame: Frame, curves: Mapping[int, Sequence[tuple[int, float]]]) -> "go.Figure":
    """Accuracy by epoch, a line a training: the front before others; one that was stopped has a triangle.

    Raises:
        BitnasError: nothing was trained for an epoch.
    """
    import plotly.graph_objects as go

    states = dict(zip(frame["columns"]["number"], frame["columns"]["state"], strict=True))
    front = set(frame["front"])
    if not curves:
        raise BitnasError("figure: no trial was trained for an epoch yet; wait for the first trials")
    figure = blank_figure()
    groups = dict.fromkeys(("stopped early", "others", "front"), False)
    for number in sorted(curves, key=lambda each: (each in front, each)):
        is_stopped = states[number] == "pruned"
        group = "front" if number in front else "stopped early" if is_stopped else "others"
        symbols = ["triangle-down" if is_stopped else "circle"] * len(curves[number])
        sizes = [0] * (len(symbols) - 1) + [9 if is_stopped else 5]
        colour = {"front": ACCENT, "stopped early": STATE_COLOURS["pruned"], "others": MUTED_COLOUR}[group]
        figure.add_trace(
            go.Scatter(
                name=group,
                legendgroup=group,
                showlegend=not groups[group],
                x=[epoch for epoch, _ in curves[number]],
                y=[value for _, value in curves[number]],
                mode="lines+markers",
                opacity=1.0 if group == "front" else 0.5,
                line={"color": colour, "width": 2.5 if group == "front" else 1},
                marker={"symbol": symbols, "size": sizes, "color": colour},
                hovertemplate=f"trial {number}, epoch %{{x}}: %{{y:.1%}}<extra></extra>",
            )
        )
        groups[group] = True
    figure.update_xaxes(title="Epoch", tickformat="d")
    figure.update_yaxes(title="Validation accuracy", tickformat=".0%")
    return figure


def timeline_figure(frame: Frame) -> "go.Figure":
    """A bar a trial, from its beginning to its end, on the line of the worker that ran it last.

    Raises:
        BitnasError: no trial has ended.
    """
    import plotly.graph_objects as go

    columns, workers = frame["columns"], frame["workers"]
    figure = blank_figure()
    for state, colour in STATE_COLOURS.items():
        there = [at for at in _places(frame) if columns["state"][at] == state and _has_ended(columns, at)]
        if there:
            figure.add_trace(
                go.Bar(
                    name=state,
                    orientation="h",
                    base=[columns["began"][at] / 60 for at in there],
                    x=[(columns["ended"][at] - columns["began"][at]) / 60 for at in there],
                    y=[inert(workers[columns["worker"][at]]) for at in there],
                    hovertext=[f"trial {columns['number'][at]}, {state}" for at in there],
                    hovertemplate="%{hovertext}: %{x:.2f} min<extra></extra>",
                    marker={"color": colour, "line": {"width": 0.5, "color": "white"}},
                )
            )
    if not figure.data:
        raise BitnasError("figure: no trial has ended yet; wait for the first trials")
    figure.update_xaxes(title="Minutes since the first trial began")
    figure.update_yaxes(automargin=True, type="category", showgrid=False)
    figure.update_layout(barmode="overlay", height=180 + 40 * len(workers))
    return figure


def _has_ended(columns: Mapping[str, Any], at: int) -> bool:
    times = columns["began"][at], columns["ended"][at]
    return None not in times and columns["worker"][at] != NO_OPTION


def _places(frame: Frame) -> range:
    return range(len(frame["columns"]["number"]))


def _evenly(places: Sequence[int]) -> Sequence[int]:
    return places[:: max(1, -(-len(places) // MOST_LINES))]


def _telling(frame: Frame, of: str) -> list[Mapping[str, Any]]:
    """The choices with two options or more, those that explain most of a column first."""
    order = [name for name, _ in explained(frame, of)]
    by_name = {choice["name"]: choice for choice in frame["choices"]}
    return [by_name[name] for name in order if len(by_name[name]["options"]) > 1]


def _options_axis(choice: Mapping[str, Any], places: Sequence[int]) -> dict[str, Any]:
    ticks = [*range(len(choice["options"]))]
    values, texts = [choice["taken"][at] for at in places], choice["options"]
    if NO_OPTION in values:
        ticks, texts = [NO_OPTION, *ticks], ["none", *texts]
    label = inert(choice["name"])
    # Of parallel coordinates alone plotly draws the ticks' texts letter by letter.
    return {"label": label, "values": values, "tickvals": ticks, "ticktext": texts}


def _objective_axis(axis: Mapping[str, Any], values: Sequence[Any], places: Sequence[int]) -> dict[str, Any]:
    label = _heading(axis)
    look = {"tickformat": ".0%"} if axis["isShare"] else {}
    return {"label": label, "values": [values[at] for at in places], **look}


def _title(frame: Frame, name: str) -> str:
    (axis,) = [axis for axis in frame["axes"] if axis["name"] == name]
    return _heading(axis)


def _heading(axis: Mapping[str, Any]) -> str:
    return inert(f"{axis['title']} ({axis['unit']})" if axis["unit"] else str(axis["title"]))


def _ticks(frame: Frame, name: str) -> str | None:
    (axis,) = [axis for axis in frame["axes"] if axis["name"] == name]
    known = [value for value in frame["columns"][name] if value is not None]
    return percent_ticks(known) if axis["isShare"] else None

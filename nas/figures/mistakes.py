"""What a network gets wrong, as a confusion matrix: shares of each class, written out while it is small."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nas.figures.inert import inert
from nas.figures.style import blank_figure
from nas.formatting import percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nas.ledger.mistakes import Predictions

WRITTEN = 20
"""Up to so many classes the counts are written in the cells."""
_RIGHT, _WRONG = (59, 91, 219), (224, 49, 49)
_FAINT, _STRONG = 0.0, 0.55
"""How opaque a cell is: what is written in it must be readable on light and on dark ground."""
_CELL, _MARGIN, _LEAST, _MOST = 34, 130, 340, 760
"""Pixels: of a row, around the rows, and of the figure."""


class Pair(NamedTuple):
    """A class that is taken for another."""

    true: str
    predicted: str
    images: int
    of: int | None  # that the class has, where every image is counted


class Confusion(NamedTuple):
    """Which classes are taken for which.

    Attributes:
        names: of the classes.
        counts: a row for each true class, a column for each predicted one; empty where not every image is
            counted, as there are many classes.
        pairs: the mistakes, the most frequent first.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    pairs: tuple[Pair, ...]


def confusion_of(predictions: "Predictions", names: Sequence[str] = ()) -> Confusion:
    """The confusion matrix of predictions; classes without ``names`` are called by their numbers."""
    classes = range(predictions.classes)
    called = tuple(names) if len(names) == predictions.classes else tuple(map(str, classes))
    counted = {(true, predicted): count for true, predicted, count in predictions.counts}
    is_whole = predictions.is_whole
    rows = [tuple(counted.get((true, guess), 0) for guess in classes) for true in classes] if is_whole else []
    wrong = sorted((pair for pair in predictions.counts if pair[0] != pair[1]), key=lambda pair: -pair[2])
    pairs = [
        Pair(called[true], called[guess], count, sum(rows[true]) if rows else None)
        for true, guess, count in wrong
    ]
    return Confusion(called, tuple(rows), tuple(pairs))


def confusion_figure(confusion: Confusion) -> "go.Figure":
    """A cell for each true and predicted class: what is right is blue, on the diagonal, what is wrong red.

    Right and wrong have a scale each, as few mistakes would be lost beside what is right.
    """
    figure, size = blank_figure(), len(confusion.names)
    rows = list(range(size))
    for is_right, colour in ((True, _RIGHT), (False, _WRONG)):
        figure.add_trace(_cells(confusion, is_right, colour))
    ticks = {"tickvals": rows, "ticktext": [inert(name) for name in confusion.names]}
    shown = ticks if size <= WRITTEN else {}
    axis = {"showgrid": False, "automargin": True, "range": [-0.5, size - 0.5], **shown}
    figure.update_xaxes(title="Predicted class", **axis)
    figure.update_yaxes(title="True class", **{**axis, "range": [size - 0.5, -0.5]})
    height = min(_MOST, max(_LEAST, _MARGIN + _CELL * size))
    figure.update_layout(height=height, showlegend=False, margin={"t": 20, "b": 60})
    if size <= WRITTEN:
        figure.update_layout(annotations=_written(confusion))
    return figure


def _cells(confusion: Confusion, is_right: bool, colour: tuple[int, int, int]) -> "go.Heatmap":
    import plotly.graph_objects as go

    shares = [
        [share if (true == guess) is is_right and share else None for guess, share in enumerate(row)]
        for true, row in enumerate(map(_shares, confusion.counts))
    ]
    red, green, blue = colour
    scale = [[at, f"rgba({red},{green},{blue},{alpha})"] for at, alpha in ((0, _FAINT), (1, _STRONG))]
    most = max((share for row in shares for share in row if share is not None), default=1.0)
    columns = range(len(confusion.names))
    return go.Heatmap(
        z=shares,
        zmin=0,
        zmax=most,
        colorscale=scale,
        showscale=False,
        xgap=1,
        ygap=1,
        hoverongaps=False,
        text=[[_hover(confusion, true, guess) for guess in columns] for true in columns],
        hovertemplate="%{text}<extra></extra>",
    )


def _shares(row: Sequence[int]) -> list[float]:
    return [count / max(1, sum(row)) for count in row]


def _hover(confusion: Confusion, true: int, guess: int) -> str:
    count, of = confusion.counts[true][guess], sum(confusion.counts[true])
    names = [inert(confusion.names[each]) for each in (true, guess)]
    share = percent(count / max(1, of))
    return f"{count} of {of} images of <b>{names[0]}</b> ({share}) are taken for <b>{names[1]}</b>"


def _written(confusion: Confusion) -> list[dict[str, object]]:
    """The counts, as annotations: these have the colour of the page's text."""
    return [
        {"x": guess, "y": true, "text": str(count), "showarrow": False, "captureevents": False}
        for true, row in enumerate(confusion.counts)
        for guess, count in enumerate(row)
        if count
    ]

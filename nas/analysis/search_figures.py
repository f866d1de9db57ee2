"""The figures of a search by name, for Python and notebooks."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from nas.analysis.search_data import SearchData
from nas.figures.data import pareto_data, why_no_pareto
from nas.figures.hypervolume import hypervolume_figure
from nas.figures.importance import explained
from nas.figures.search import add_title, pareto_figure, title_of
from nas.figures.views import (
    curves_figure,
    importance_figure,
    options_figure,
    parallel_figure,
    timeline_figure,
)
from nas.ledger import Ledger
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    import plotly.graph_objects as go

    Make = Callable[["Wanted"], "tuple[go.Figure, str]"]


MOST_NAMES = 10
"""That a message lists; of more, those that are spelt most like what was given."""


class Wanted:
    """What a figure is asked to show.

    Attributes:
        ledger: which holds the search.
        name: the search's.
        data: its trials as columns, and more.
        frame: the columns.
    """

    def __init__(self, ledger: Ledger, name: str, of: str | None, by: str | None) -> None:
        self.ledger, self.name = ledger, name
        self.data = SearchData(ledger, name)
        self.frame = self.data.frame()
        self._of, self._by = of, by

    @property
    def of(self) -> str:
        """The column that is shown, that along y unless told.

        Raises:
            InvalidInput: no trial has one of that name.
        """
        known = [axis["name"] for axis in self.frame["axes"]]
        if not known:
            raise BitnasError("figure: no trial has a value yet; wait for the first trials")
        if self._of is not None:
            return _one_of("of", self._of, known)
        usual: str = self.frame["begins"]["y"]
        if usual not in known:
            raise BitnasError(f"figure: no trial has a value of {usual} yet; wait for the first trials")
        return usual

    @property
    def by(self) -> str:
        """The choice by which trials are grouped, unless told the one that explains most.

        Raises:
            InvalidInput: the space has none of that name.
        """
        known = [choice["name"] for choice in self.frame["choices"]]
        if self._by is not None:
            return _one_of("by", self._by, known)
        if not known:
            raise BitnasError("figure: no trial has made a choice yet; wait for the first trials")
        return next((name for name, _ in explained(self.frame, self.of)), known[0])


def _front(wanted: Wanted) -> "tuple[go.Figure, str]":
    record, trials = wanted.ledger.search(wanted.name), wanted.ledger.trials(wanted.name)
    data = pareto_data(record, trials, wanted.ledger.front(wanted.name))
    if reason := why_no_pareto(record, data):
        raise BitnasError(f"figure: {reason}; wait for the first trials")
    return pareto_figure(data), title_of(data.x, data.y)


def _progress(wanted: Wanted) -> "tuple[go.Figure, str]":
    history: dict[str, Any] = wanted.data.history()
    if not history["steps"]:
        raise BitnasError(f"figure: {history['why']}")
    steps = [(trained, number, share) for trained, (number, share) in enumerate(history["steps"], start=1)]
    return hypervolume_figure(steps), "hypervolume"


def _curves(wanted: Wanted) -> "tuple[go.Figure, str]":
    found = wanted.data.curves()
    drawn = len(found["curves"])
    part = "" if drawn == found["of"] else f", {drawn} of {found['of']} trainings"
    return curves_figure(wanted.frame, found["curves"]), f"learning curves{part}"


FIGURES: "dict[str, Make]" = {
    "front": _front,
    "progress": _progress,
    "parallel": lambda wanted: (parallel_figure(wanted.frame), "choices and objectives"),
    "importance": lambda w: (importance_figure(w.frame, w.of), f"which choices matter for {w.of}"),
    "options": lambda w: (options_figure(w.frame, w.of, w.by), f"{w.of} by {w.by}"),
    "curves": _curves,
    "timeline": lambda wanted: (timeline_figure(wanted.frame), "who worked when"),
}
"""By name: gives the figure and its title."""

_TAKES = {"of": ("importance", "options"), "by": ("options",)}


def figure_of(
    ledger: Ledger, search: str, name: str, of: str | None = None, by: str | None = None
) -> "go.Figure":
    """The figure called ``name``, with a title.

    Args:
        ledger: which holds the search.
        search: whose figure it is.
        name: one of ``FIGURES``.
        of: the objective whose values are shown, where there is a choice of it.
        by: the choice of the space by which trials are grouped, likewise.

    Raises:
        InvalidInput: there is no such figure, objective or choice, or it takes none.
        BitnasError: there is nothing yet to draw.
    """
    make = FIGURES[_one_of("figure", name, FIGURES)]
    for parameter, given in (("of", of), ("by", by)):
        if given is not None and name not in _TAKES[parameter]:
            fix = f"leave it out, or ask for {' or '.join(_TAKES[parameter])}"
            raise InvalidInput(parameter, f"the figure '{name}' takes none", fix)
    figure, title = make(Wanted(ledger, search, of, by))
    add_title(figure, f"{search}: {title}")
    return figure


def _one_of(parameter: str, name: str, known: "Sequence[str] | dict[str, Make]") -> str:
    if name not in known:
        shown = (
            [*known] if len(known) <= MOST_NAMES else get_close_matches(name, known, MOST_NAMES, cutoff=0.0)
        )
        raise InvalidInput(parameter, f"'{name}' is not known", f"give one of {', '.join(shown)}")
    return name

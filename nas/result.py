"""What a search found, for Python: its trials and its front, the best one, its figure, and its export."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nas.ledger import Ledger, SearchConfig, SearchRecord, TrialRecord, TrialState


class Result:
    """A search in a database. It holds nothing but where that is: each call reads what is there now.

    Attributes:
        storage: the database's URL.
        name: the search's name.
    """

    def __init__(self, storage: str, name: str) -> None:
        self.storage, self.name = storage, name

    @property
    def record(self) -> "SearchRecord":
        """The settings, and how many trials are in which state."""
        with self._ledger() as ledger:
            return ledger.search(self.name)

    @property
    def config(self) -> "SearchConfig":
        """The settings that the search was made with."""
        return self.record.config

    @property
    def front(self) -> "list[TrialRecord]":
        """The trials that no other beats in every objective, the most accurate first."""
        with self._ledger() as ledger:
            return ledger.front(self.name)

    def trials(self, state: "TrialState | str | None" = None) -> "list[TrialRecord]":
        """All trials by number, or those in one state, such as ``complete``."""
        with self._ledger() as ledger:
            return [trial for trial in ledger.trials(self.name) if state in (None, trial.state)]

    def trial(self, number: int) -> "TrialRecord":
        """One trial; InvalidInput where there is none of that number."""
        with self._ledger() as ledger:
            return ledger.trial(self.name, number)

    def best(self, *, max_latency_ms: float | None = None, max_size_kb: float | None = None) -> "TrialRecord":
        """The most accurate complete trial within limits; a limit that is not given is the search's own.

        Args:
            max_latency_ms: of one image, measured where that was done, else predicted.
            max_size_kb: in kB of 1000 bytes.

        Raises:
            NothingFitsError: no complete trial is within the limits.
        """
        from nas.export.trials import NothingFitsError, candidates, limits_of, nothing_fits

        with self._ledger() as ledger:
            limits = limits_of(self.config, max_latency_ms=max_latency_ms, max_size_kb=max_size_kb)
            if found := candidates(ledger, self.name, limits, None):
                return found[0]
            raise NothingFitsError(nothing_fits(ledger, self.name, limits, None))

    def export(
        self,
        folder: str | Path,
        trial: int | None = None,
        *,
        max_latency_ms: float | None = None,
        max_size_kb: float | None = None,
        epochs: int = 0,
        c_source: str | Path | None = None,
    ) -> Path:
        """Write a trial as a compiled, tested network, and give the folder that holds it.

        Args:
            folder: where to write it; new or empty.
            trial: which; None for the most accurate that keeps the limits when it is measured.
            max_latency_ms: as of ``best``.
            max_size_kb: likewise.
            epochs: how many more epochs to train it first.
            c_source: a folder for the same network as C, new or empty.

        Raises:
            InvalidInput: there is no such trial, or the folder is taken.
            NothingFitsError: no complete trial keeps the limits.
            DisagreementError: the compiled network does not compute what torch does.
        """
        from nas.export.trials import export, limits_of

        output, c_folder = Path(folder), None if c_source is None else Path(c_source)
        limits = limits_of(self.config, max_latency_ms=max_latency_ms, max_size_kb=max_size_kb)
        with self._ledger() as ledger:
            export(ledger, self.name, output, limits=limits, number=trial, epochs=epochs, c_source=c_folder)
        return output

    def figure(self) -> "go.Figure":
        """Accuracy against latency, all trials and the front; BitnasError while no trial has a latency."""
        from nas.figures.data import pareto_data, why_no_pareto
        from nas.figures.search import add_title, pareto_figure
        from search_spaces.errors import BitnasError

        record = self.record
        data = pareto_data(record, self.trials(), self.front)
        if reason := why_no_pareto(record, data):
            raise BitnasError(f"figure: {reason}; wait for the first trials")
        figure = pareto_figure(data)
        add_title(figure, f"{self.name}: accuracy against latency")
        return figure

    def to_dict(self) -> dict[str, Any]:
        """The settings, the counts and the front as JSON-able values, as the command prints them."""
        return {**self.record.to_dict(), "front": [trial.to_dict() for trial in self.front]}

    def __repr__(self) -> str:
        """The search in one line, and a line for each trial of the front."""
        rows = [[title for title, _ in COLUMNS], *_rows(self.front)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        table = ["  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([self._headline(), *table])

    def _repr_html_(self) -> str:
        """The same as a table, for a notebook."""
        head = "".join(f"<th>{escape(title)}</th>" for title, _ in COLUMNS)
        rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in _rows(self.front)]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return (
            f"<p>{escape(self._headline())}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _headline(self) -> str:
        from nas.figures.data import describe_counts

        record = self.record
        config = record.config
        what = f"{config.space} on {config.data}, {config.device}"
        return f"Search {self.name} ({what}): {describe_counts(record)}, {len(self.front)} on the front"

    @contextmanager
    def _ledger(self) -> "Iterator[Ledger]":
        from nas.ledger import Ledger

        with Ledger.open(self.storage) as ledger:
            yield ledger


class Column(NamedTuple):
    """A column of the front's table."""

    title: str
    cell: "Callable[[TrialRecord], str]"


def _milliseconds(value: float | None) -> str:
    from nas.figures.data import milliseconds

    return milliseconds(value)


COLUMNS = (
    Column("trial", lambda trial: str(trial.number)),
    Column("accuracy", lambda trial: "-" if trial.accuracy is None else f"{trial.accuracy:.2%}"),
    Column("predicted ms", lambda trial: _milliseconds(trial.latency_ms)),
    Column("measured ms", lambda trial: _milliseconds(trial.measured_latency_ms)),
    Column("size kB", lambda trial: "-" if trial.size_kb is None else f"{trial.size_kb:.1f}"),
)


def _rows(trials: "list[TrialRecord]") -> list[list[str]]:
    return [[column.cell(trial) for column in COLUMNS] for trial in trials]

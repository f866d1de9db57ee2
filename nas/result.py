"""What a search found, for Python: its trials and its front, the best one, its figure, and its export."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from nas.arguments import checked, naming
from nas.objectives import Objective, objective
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nas.analysis.pareto import Hypervolume, Pareto
    from nas.ledger import Ledger, SearchConfig, SearchRecord, TrialRecord, TrialState
    from nas.searching.audit import Audit


class LimitSettings(TypedDict, total=False):
    """Limits of what a network may cost, called as those of a search; None is not given.

    Attributes:
        max_latency_ms: milliseconds for one image.
        max_size_kb: of the parameters, each at the bits of its code, in kB of 1000 bytes.
        max_memory_kb: that it needs to run, likewise.
        max_macs: multiply-accumulates for one image.
        limits: of any other objective, by its name.
    """

    max_latency_ms: float | None
    max_size_kb: float | None
    max_memory_kb: float | None
    max_macs: float | None
    limits: Mapping[str, float]


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
        """The trials that no other beats in every objective, the best in the first objective first."""
        with self._ledger() as ledger:
            return ledger.front(self.name)

    @property
    def knee(self) -> "TrialRecord | None":
        """The front's member that is farthest from the plane through the best in each objective, if any."""
        return self.pareto().knee

    def pareto(
        self, objectives: Sequence[str] = (), reference: Mapping[str, float] = MappingProxyType({})
    ) -> "Pareto":
        """The front in any objectives, with its knee, its hypervolume, and how that grew.

        Args:
            objectives: such as ``["accuracy", "macs"]``; the search's own if not given.
            reference: where the hypervolume is measured from, by objective, such as ``{"macs": 1e7}``; a
                tenth of the range beyond the worst complete trial where it is not given.

        Raises:
            InvalidInput: an objective is not known, or no complete trial has a value of it.
        """
        from nas.analysis.pareto import pareto_of, shown_config

        given = checked({"objectives": objectives, "reference": reference})
        with self._ledger() as ledger:
            config = shown_config(ledger.search(self.name), given["objectives"])
            return pareto_of(ledger.trials(self.name), config, given["reference"])

    def hypervolume(
        self, objectives: Sequence[str] = (), reference: Mapping[str, float] = MappingProxyType({})
    ) -> "Hypervolume | None":
        """How much the front dominates, as of ``pareto``; None where nothing is complete yet."""
        return self.pareto(objectives, reference).hypervolume

    def trials(self, state: "TrialState | str | None" = None) -> "list[TrialRecord]":
        """All trials by number, or those in one state, such as ``complete``.

        Raises:
            InvalidInput: there is no such state.
        """
        checked({"state": state})
        _check_state(state)
        with self._ledger() as ledger:
            return [trial for trial in ledger.trials(self.name) if state in (None, trial.state)]

    def trial(self, number: int) -> "TrialRecord":
        """One trial; InvalidInput where there is none of that number."""
        number = checked({"number": number})["number"]
        with self._ledger() as ledger:
            return ledger.trial(self.name, number)

    def best(self, **limits: Unpack[LimitSettings]) -> "TrialRecord":
        """The most accurate complete trial within limits; a limit that is not given is the search's own.

        Where accuracy is not the first of the search's objectives, the best trial by that one.

        Args:
            limits: such as ``max_latency_ms=0.4``; a latency is the measured one where there is one.

        Raises:
            InvalidInput: there is no such limit.
            NothingFitsError: no complete trial is within the limits.
        """
        from nas.export.trials import candidates, limits_of, nothing_fits
        from search_spaces.errors import NothingFitsError

        with self._ledger() as ledger:
            wanted = limits_of(ledger.search(self.name).config, _by_name(limits))
            if found := candidates(ledger, self.name, wanted, None):
                return found[0]
            raise NothingFitsError(nothing_fits(ledger, self.name, wanted, None))

    def audit(self) -> "Audit | None":
        """How well short trainings rank networks; None where the search has no audit, or not yet."""
        from nas.searching.audit import audit_of

        with self._ledger() as ledger:
            return audit_of(ledger, self.name)

    def export(
        self,
        folder: str | Path,
        trial: int | None = None,
        *,
        epochs: int = 0,
        c_source: str | Path | None = None,
        formats: Sequence[str] = ("tvm",),
        **limits: Unpack[LimitSettings],
    ) -> Path:
        """Write a trial as a compiled, tested network, and give the folder that holds it.

        Args:
            folder: where to write it; new or empty.
            trial: which; None for the most accurate that keeps the limits when it is measured.
            epochs: how many more epochs to train it first.
            c_source: a folder for the same network as C, new or empty.
            formats: the forms to write into the folder, such as ``["tvm", "onnx", "safetensors"]``.
            limits: as of ``best``.

        Raises:
            InvalidInput: there is no such trial, the folder is taken, or a number is out of its range.
            NothingFitsError: no complete trial keeps the limits.
            DisagreementError: the compiled network does not compute what torch does.
        """
        from nas.export.trials import export, limits_of

        named = {
            "folder": folder,
            "trial": trial,
            "epochs": epochs,
            "c_source": c_source,
            "formats": formats,
        }
        given, wanted = checked(named), _by_name(limits)
        output, c_folder = Path(given["folder"]), None if c_source is None else Path(given["c_source"])
        with self._ledger(output="folder", number="trial") as ledger:
            kept = limits_of(ledger.search(self.name).config, wanted)
            export(
                ledger,
                self.name,
                output,
                limits=kept,
                number=given["trial"],
                epochs=given["epochs"],
                c_source=c_folder,
                forms=given["formats"],
            )
        return output

    def figure(self, name: str = "front", *, of: str | None = None, by: str | None = None) -> "go.Figure":
        """A figure of the search, as plotly's; a notebook shows it without a server.

        ``result.figure()`` is the front, ``result.figure("options", of="latency", by="stage1.block")`` the
        latencies of the trials with each option of a choice.

        Args:
            name: ``front``: all trials, the first objective against the next; ``progress``: the hypervolume
                over trials; ``parallel``: choices and objectives side by side; ``importance``: which choices
                matter; ``options``: what each option of a choice gives; ``curves``: accuracy by epoch;
                ``timeline``: which worker ran what when.
            of: for ``importance`` and ``options``, the objective; the front's along y unless told.
            by: for ``options``, the choice; the one that matters most unless told.

        Raises:
            InvalidInput: there is no such figure, objective or choice.
            BitnasError: there is nothing yet to draw.
        """
        from nas.analysis.search_figures import figure_of

        checked({"name": name, "of": of, "by": by}, required=("name",))
        with self._ledger(figure="name") as ledger:
            return figure_of(ledger, self.name, name, of, by)

    def to_dict(self) -> dict[str, Any]:
        """The settings, the counts and the front as JSON-able values, as the command prints them."""
        return {**self.record.to_dict(), "front": [trial.to_dict() for trial in self.front]}

    def __repr__(self) -> str:
        """The search in one line, and a line for each trial of the front."""
        table = self._table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in table]
        return "\n".join([self._headline(), *lines])

    def _repr_html_(self) -> str:
        """The same as a table, for a notebook."""
        head, *rows = self._table()
        lines = [_html_row("th", head), *(_html_row("td", row) for row in rows)]
        return f"<p>{escape(self._headline())}</p><table>{''.join(lines)}</table>"

    def _table(self) -> list[list[str]]:
        """The front: a row of titles, then one for each trial, with the search's objectives as columns."""
        from nas.formatting import milliseconds

        named = [objective(name) for name in self.config.objectives]
        rows = [
            [str(t.number), *(_cell(o, t) for o in named), milliseconds(t.measured_latency_ms)]
            for t in self.front
        ]
        return [["trial", *(o.heading for o in named), "measured (ms)"], *rows]

    def _headline(self) -> str:
        from nas.figures.data import describe_counts

        record = self.record
        config = record.config
        where = ", ".join(filter(None, (config.data or config.evaluator, config.device)))
        what = f"{record.drawn_from} on {where}"
        return f"Search {self.name} ({what}): {describe_counts(record)}, {len(self.front)} on the front"

    @contextmanager
    def _ledger(self, **names: str) -> "Iterator[Ledger]":
        """The ledger; errors name parameters as this class does, and as ``names`` says."""
        from nas.ledger import Ledger

        with naming(search="name", **names), Ledger.open(self.storage) as ledger:
            yield ledger


def _check_state(state: str | None) -> None:
    from nas.ledger import TrialState

    if state is not None and state not in [*TrialState]:
        raise InvalidInput("state", f"'{state}' is no state", f"give one of {', '.join(TrialState)}")


def _cell(of: Objective, trial: "TrialRecord") -> str:
    found = of.of(trial)
    return of.show(None if found is None else found.value)


def _html_row(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _by_name(limits: LimitSettings) -> dict[str, float | None]:
    known = LimitSettings.__annotations__
    for name in limits:
        if name not in known:
            raise InvalidInput(name, "there is no such limit", f"give one of {', '.join(known)}")
    given = checked(limits)
    return {**given.pop("limits", {}), **given}

"""All that the views of a search show, as plain data: kept in memory, read again only where it changed."""

from threading import Lock
from typing import Any

from nas.analysis.pareto import MOST_OBJECTIVES, pareto_of
from nas.figures.drawing import Part, parts_of
from nas.figures.frame import frame_of
from nas.ledger import Ledger, TrialRecord, front_of
from nas.ledger.curves import curves_of
from nas.ledger.history import History
from nas.ledger.needs import unknown_objectives
from search_spaces.errors import InvalidInput

MOST_CURVES = 300
"""Trainings that are drawn; with more, nobody tells them apart."""


class SearchData:
    """One search of a ledger. Threads may share it.

    Attributes:
        tag: changes whenever what is shown does.
    """

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger, self._name = ledger, name
        self._history = History(ledger, name)
        self._lock = Lock()
        self._frame: dict[str, Any] = {}
        self.tag = ""

    def frame(self) -> dict[str, Any]:
        """The trials as columns (``nas.figures.frame``), as they are now."""
        with self._lock:
            self._history.refresh()
            search = self._ledger.search(self._name)
            tag = f"{self._history.revision}-{abs(hash(str(search.config))):x}"
            if tag != self.tag:
                unknown = unknown_objectives(search.config)
                front = [] if unknown else front_of(self._history.trials, search.config)
                numbers = [trial.number for trial in front]
                self._frame = frame_of(search, self._history.trials, numbers, self._ledger.url)
                self.tag = tag
            return self._frame

    def history(self) -> dict[str, Any]:
        """How the hypervolume grew: ``steps`` of (trial, share of the box), or ``why`` there is none."""
        config = self._ledger.search(self._name).config
        try:
            found = pareto_of(self._trials(), config)
        except InvalidInput as error:
            return {"steps": [], "why": str(error)}
        why = "" if found.history else "No trial is complete yet."
        if (count := len(config.objectives)) > MOST_OBJECTIVES:
            why = f"There is no hypervolume of {count} objectives."
        return {"steps": [(step.number, round(step.share, 5)) for step in found.history], "why": why}

    def curves(self) -> dict[str, Any]:
        """The accuracy by epoch of the front and of others, evenly taken, as (epoch, value) by trial."""
        trained = [trial.number for trial in self._trials() if trial.epochs_done]
        front = [number for number in self._frame["front"] if number in set(trained)][:MOST_CURVES]
        step = max(1, -(-len(trained) // (MOST_CURVES - len(front) + 1)))
        numbers = list(dict.fromkeys([*front, *trained[::step]]))
        curves = curves_of(self._ledger, self._name, numbers)
        return {"curves": curves, "of": len(trained), "objective": "accuracy"}

    def drawings(self) -> dict[str, Any]:
        """Every architecture for the small drawings: each part once, and a trial's parts by their places."""
        places: dict[Part, int] = {}
        made = {trial.number: parts_of(trial.architecture) for trial in self._trials() if trial.architecture}
        of = {
            number: [places.setdefault(part, len(places)) for part in parts]
            for number, parts in made.items()
            if parts
        }
        return {"parts": [part._asdict() for part in places], "of": of}

    def _trials(self) -> list[TrialRecord]:
        self.frame()
        return self._history.trials

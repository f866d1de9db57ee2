"""The trials of searches as the linked views get them: kept in memory, read again only where they changed."""

import gzip
import json
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from nas.figures.frame import frame_of
from nas.ledger import Ledger, front_of
from nas.ledger.curves import curves_of
from nas.ledger.history import History
from nas.ledger.needs import unknown_objectives
from nas.searching.pareto import pareto_of
from search_spaces.errors import BitnasError, InvalidInput

MOST_CURVES = 300
MOST = 8
"""Searches that are kept; the one that nobody has asked for longest goes first."""
FAST = 3  # of gzip's levels: a frame of 10,000 trials takes a tenth of a second


@dataclass
class _Kept:
    """One search: its trials, and what was made of them at a revision."""

    ledger: Ledger
    history: History
    lock: Lock = field(default_factory=Lock)
    tag: str = ""
    body: bytes = b""
    frame: dict[str, Any] = field(default_factory=dict)


class Frames:
    """The searches of one ledger."""

    def __init__(self, storage: str) -> None:
        self._storage, self._lock = storage, Lock()
        self._kept: dict[str, _Kept] = {}

    def frame(self, name: str) -> tuple[str, dict[str, Any]]:
        """A search's frame (``nas.figures.frame``) and its tag, which changes when it does.

        Raises:
            BitnasError: there is no such search, or the ledger cannot be read.
        """
        kept = self._refreshed(name)
        return kept.tag, kept.frame

    def history(self, name: str) -> dict[str, Any]:
        """How the hypervolume grew: ``steps`` of (trial, share of the box), or ``why`` there is none."""
        kept = self._refreshed(name)
        try:
            found = pareto_of(kept.history.trials, kept.ledger.search(name).config)
        except InvalidInput as error:
            return {"steps": [], "why": str(error)}
        return {"steps": [(step.number, round(step.share, 5)) for step in found.history], "why": ""}

    def curves(self, name: str) -> dict[str, Any]:
        """The learning curves of the front and of others, evenly taken, as (epoch, value) by trial."""
        kept = self._refreshed(name)
        trained = [trial.number for trial in kept.history.trials if trial.epochs_done]
        front = [number for number in kept.frame["front"] if number in set(trained)][:MOST_CURVES]
        step = max(1, -(-len(trained) // (MOST_CURVES - len(front) + 1)))
        numbers = list(dict.fromkeys([*front, *trained[::step]]))
        curves = curves_of(kept.ledger, name, numbers)
        return {"curves": curves, "of": len(trained), "objective": "accuracy"}

    def packed(self, name: str) -> tuple[str, bytes]:
        """The same as JSON, packed by gzip."""
        kept = self._refreshed(name)
        return kept.tag, kept.body

    def _refreshed(self, name: str) -> _Kept:
        kept = self._of(name)
        try:
            with kept.lock:
                self._refresh(kept, name)
        except BitnasError:
            self._forget(name)  # what comes back may be another file
            raise
        return kept

    def _refresh(self, kept: _Kept, name: str) -> None:
        kept.history.refresh()
        search = kept.ledger.search(name)
        tag = f"{kept.history.revision}-{hash(str(search.config))}"
        if tag == kept.tag:
            return
        trials = kept.history.trials
        front = [] if unknown_objectives(search.config) else front_of(trials, search.config)
        kept.frame = frame_of(search, trials, [trial.number for trial in front], self._storage)
        kept.body = gzip.compress(json.dumps(kept.frame, separators=(",", ":")).encode(), FAST)
        kept.tag = tag

    def _of(self, name: str) -> _Kept:
        with self._lock:
            kept = self._kept.pop(name, None)
            if kept is None:
                ledger = Ledger.open(self._storage)
                try:
                    kept = _Kept(ledger, History(ledger, name))
                except BitnasError:
                    ledger.close()
                    raise
            self._kept[name] = kept  # the last is the one that was asked for last
            for oldest in list(self._kept)[:-MOST]:
                self._kept.pop(oldest).ledger.close()
            return kept

    def _forget(self, name: str) -> None:
        with self._lock:
            kept = self._kept.pop(name, None)
        if kept is not None:
            kept.ledger.close()

"""What must be true of the ledger after a crash, by the side log of the workers."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nas.ledger import Ledger, TrialRecord, TrialState

NOT_ENDED = {TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED}


@dataclass
class Found:
    """What was found wrong, by the trial as ``search/number``, and how much was looked at.

    Attributes:
        acknowledged: trials whose end a worker has seen committed.
        lost: of these, those that the ledger does not hold as they were acknowledged.
        doubled: trials that were ended twice, or whose number comes twice.
        stuck: trials that have not ended, though nobody is left to run them.
        failed: trials that were given up for deaths that were all of our making.
        broken: what the database says of itself, where that is not that all is well.
        outlived: processes that ran on for too long after their parent, which is two seconds.
    """

    acknowledged: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    outlived: set[str] = field(default_factory=set)

    @property
    def wrong(self) -> dict[str, int]:
        """How often each went wrong."""
        return {name: len(value) for name, value in vars(self).items() if isinstance(value, set)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {name: sorted(v) if isinstance(v, set) else v for name, v in asdict(self).items()}


class SideLog:
    """What workers have noted; only what is new is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: list[dict[str, Any]] = []
        self._read = 0

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far; a last line that its writer did not live to end is none."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._events += [json.loads(line) for line in whole.split(b"\n")]
                self._read += len(whole) + 1
        return self._events


def check(found: Found, storage: str, search: str, events: list[dict[str, Any]], is_over: bool) -> None:
    """Compare a search with the side log; ``is_over``: nobody is left who could end a trial."""
    found.broken |= _integrity(storage)
    acknowledged: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if event["event"] == "acknowledged" and event["search"] == search:
            acknowledged.setdefault(event["number"], []).append(event)
    with Ledger.open(storage) as ledger:  # after the events, as workers go on meanwhile
        trials = ledger.trials(search)
    by_number = {trial.number: trial for trial in trials}
    found.doubled |= {f"{search}/{number}" for number in _twice(trial.number for trial in trials)}
    found.doubled |= {f"{search}/{number}" for number, ends in acknowledged.items() if len(ends) > 1}
    found.lost |= {
        f"{search}/{number}"
        for number, ends in acknowledged.items()
        if not any(_is_held(by_number.get(number), end) for end in ends)
    }
    found.failed |= {f"{search}/{trial.number}" for trial in trials if trial.state is TrialState.FAILED}
    if is_over:
        found.acknowledged += len(acknowledged)
        found.stuck |= {f"{search}/{trial.number}" for trial in trials if trial.state in NOT_ENDED}


def _is_held(trial: TrialRecord | None, end: dict[str, Any]) -> bool:
    return trial is not None and (trial.state.value, trial.accuracy) == (end["state"], end["value"])


def _twice(numbers: Iterable[int]) -> set[int]:
    seen, twice = set[int](), set[int]()
    for number in numbers:
        (twice if number in seen else seen).add(number)
    return twice


def _integrity(storage: str) -> set[str]:
    """What SQLite's own check says; a PostgreSQL server that answers has checked its log as it started."""
    if not storage.startswith("sqlite:///"):
        return set()
    connection = sqlite3.connect(storage.removeprefix("sqlite:///"), timeout=60)
    try:
        return {line for (line,) in connection.execute("PRAGMA integrity_check")} - {"ok"}
    finally:
        connection.close()

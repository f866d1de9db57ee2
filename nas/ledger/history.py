"""A search's trials as an algorithm and a progress display read them: again and again, only what changed."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from nas.ledger.away import patient
from nas.ledger.records import TrialRecord
from nas.ledger.rows import trial_columns, trial_record
from nas.ledger.store import Ledger, find_id
from nas.ledger.tables import Trial

_LEFT_OUT = {"latency_by_workload", "passed_samples", "parents"}
"""What nobody judges a trial by, and is most of what there is to read of many."""
_COLUMNS = trial_columns(_LEFT_OUT)


@patient
def changed_trials(
    ledger: Ledger,
    search: str,
    search_id: int,
    since: int,
    columns: Sequence[ColumnElement[Any]] = _COLUMNS,
) -> tuple[list[TrialRecord], int]:
    """The trials of a search that have changed since a revision, and the revision of the last of them."""
    with ledger.reading() as session:
        changed = Trial.search_id == search_id, Trial.revision > since
        # rows, as objects of the tables' classes take twice as long
        rows = session.execute(select(*columns).where(*changed).order_by(Trial.revision)).all()
        return [trial_record(search, row) for row in rows], rows[-1].revision if rows else since


class History:
    """The trials of one search that have been proposed, kept in memory and brought up to date on demand.

    They come without the times of their kernels, the samples of what was passed over, and their parents.

    Every change of a trial takes the search's next revision in the transaction that commits it, and the
    search's row is locked until then. So whoever has read up to a revision has missed nothing before it.
    """

    def __init__(self, ledger: Ledger, search: str) -> None:
        self._ledger, self._search = ledger, search
        self._revision = 0
        self._by_number: dict[int, TrialRecord] = {}
        self._by_digest: dict[str, int] = {}
        self._sorted: list[TrialRecord] = []
        self._search_id = find_id(ledger, search)

    def refresh(self) -> list[TrialRecord]:
        """Read what has changed; the trials that changed."""
        since = self._revision
        found, self._revision = changed_trials(self._ledger, self._search, self._search_id, since)
        for trial in found:
            self._keep(trial)
        if found:
            self._sorted = [self._by_number[number] for number in sorted(self._by_number)]
        return found

    def _keep(self, trial: TrialRecord) -> None:
        self._by_number[trial.number] = trial
        if trial.digest is None:
            return
        other = self.first_with(trial.digest)
        if other is None or _budget(trial) > _budget(other):
            self._by_digest[trial.digest] = trial.number

    @property
    def revision(self) -> int:
        """Up to which the changes of the search were read."""
        return self._revision

    @property
    def trials(self) -> list[TrialRecord]:
        """The trials as they were read last, by number; whoever gets the list does not change it."""
        return self._sorted

    def first_with(self, digest: str) -> TrialRecord | None:
        """The trial that has an architecture, if any has: that of the largest budget."""
        number = self._by_digest.get(digest)
        return None if number is None else self._by_number[number]

    def __contains__(self, digest: object) -> bool:
        return digest in self._by_digest


def _budget(trial: TrialRecord) -> float:
    """That of a trial; none is all that the search has."""
    return math.inf if trial.budget is None else trial.budget

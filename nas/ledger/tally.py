"""How many trials of a search are in which state, for whoever asks again and again."""

from sqlalchemy import select

from nas.ledger.away import patient
from nas.ledger.origin import Origin
from nas.ledger.records import SearchRecord, TrialState, config_from_dict
from nas.ledger.rows import find_search
from nas.ledger.store import Ledger
from nas.ledger.tables import Search, Trial


class Tally:
    """A search's record with its counts, kept in memory; what has changed since is read on demand.

    It reads as much as has changed, not as many trials as there are (``nas.ledger.history`` tells how).
    """

    def __init__(self, ledger: Ledger, search: str) -> None:
        self._ledger, self._search = ledger, search
        self._revision, self._shape = -1, (0, "")
        self._states: dict[int, TrialState] = {}
        self._counts = dict.fromkeys(TrialState, 0)
        self.record = self.refresh()

    @patient
    def refresh(self) -> SearchRecord:
        """The search as it is now; the same object as before where nothing has changed."""
        with self._ledger.reading() as session:
            row = find_search(session, self._search)
            if row.revision == self._revision:
                return self.record
            of_search = select(Trial.number, Trial.state).where(Trial.search_id == row.id)
            if (shape := (row.config["trials"], row.ended or "")) != self._shape:
                self._forget()  # trials were added, or taken away
            changed = of_search.where(Trial.revision > self._revision)
            for number, state in session.execute(changed):
                self._count(number, state)
            self._revision, self._shape = row.revision, shape
            self.record = self._told(row)
        return self.record

    def _forget(self) -> None:
        self._revision = -1
        self._states.clear()
        self._counts = dict.fromkeys(TrialState, 0)

    def _count(self, number: int, state: TrialState) -> None:
        if (before := self._states.get(number)) is not None:
            self._counts[before] -= 1
        self._states[number] = state
        self._counts[state] += 1

    def _told(self, row: Search) -> SearchRecord:
        config = config_from_dict(row.config)
        origin = Origin.from_dict(row.origin)
        return SearchRecord(row.name, config, row.created_at, dict(self._counts), row.ended, origin)

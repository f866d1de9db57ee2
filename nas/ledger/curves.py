"""How accurate the trials of a search were after some epochs, read again and again: only what has changed."""

from collections.abc import Iterable

from sqlalchemy import and_, select

from nas.ledger.store import Ledger, find_search
from nas.ledger.tables import Epoch, Trial


class Curves:
    """The validation accuracies of one search's trials after the epochs that somebody wants to know of.

    Attributes:
        revision: of the search, up to which they were read.
    """

    def __init__(self, ledger: Ledger, search: str, epochs: Iterable[int]) -> None:
        self._ledger = ledger
        self._at: dict[int, dict[int, float]] = {epoch: {} for epoch in epochs}
        self.revision = 0
        with ledger.reading() as session:
            self._search_id = find_search(session, search).id

    def refresh(self) -> None:
        """Read what has changed."""
        if not self._at:
            return
        wanted = and_(Epoch.trial_id == Trial.id, Epoch.epoch.in_(self._at))
        changed = select(Trial.number, Trial.revision, Epoch.epoch, Epoch.accuracy).outerjoin(Epoch, wanted)
        mine = Trial.search_id == self._search_id, Trial.revision > self.revision
        with self._ledger.reading() as session:
            rows = session.execute(changed.where(*mine)).all()
        for number in {row.number for row in rows}:
            self._forget(number)
        for number, revision, epoch, accuracy in rows:
            self.revision = max(self.revision, revision)
            if epoch is not None:
                self._at[epoch][number] = accuracy

    def _forget(self, number: int) -> None:
        """Its epochs may have been dropped."""
        for accuracies in self._at.values():
            accuracies.pop(number, None)

    def at(self, epoch: int) -> dict[int, float]:
        """By trial number, of every trial that was trained as long; whoever gets it does not change it."""
        return self._at[epoch]

"""What the trials of a search had reached after some epochs, read again and again: only what has changed."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import and_, select

from nas.ledger.away import patient
from nas.ledger.entries import EpochRecord
from nas.ledger.store import Ledger, find_id
from nas.ledger.tables import Epoch, Trial

Values = Mapping[str, float]
"""What was reported after an epoch, by objective: mostly the accuracy on the validation split."""


_AT_ONCE = 500
"""Numbers in one query: databases limit how many."""


class Curves:
    """What one search's trials reported after the epochs that somebody wants to know of."""

    def __init__(self, ledger: Ledger, search: str, epochs: Iterable[int]) -> None:
        self._ledger = ledger
        self._at: dict[int, dict[int, Values]] = {epoch: {} for epoch in epochs}
        self._revision = 0
        self._search_id = find_id(ledger, search)

    @patient
    def refresh(self) -> None:
        """Read what has changed."""
        wanted = and_(Epoch.trial_id == Trial.id, Epoch.epoch.in_(self._at))
        columns = Trial.number, Trial.revision, Epoch.epoch, Epoch.accuracy, Epoch.reported
        mine = Trial.search_id == self._search_id, Trial.revision > self._revision
        with self._ledger.reading() as session:
            rows = session.execute(select(*columns).outerjoin(Epoch, wanted).where(*mine)).all()
        for number in {row.number for row in rows}:
            self._forget(number)
        for number, revision, epoch, accuracy, reported in rows:
            self._revision = max(self._revision, revision)
            if epoch is not None:
                known = {} if accuracy is None else {"accuracy": accuracy}
                self._at[epoch][number] = {**(reported or {}), **known}

    def _forget(self, number: int) -> None:
        """Its epochs may have been dropped."""
        for values in self._at.values():
            values.pop(number, None)

    def at(self, epoch: int) -> Mapping[int, Values]:
        """By trial number, of every trial that was trained as long."""
        return self._at[epoch]


def curves_of(ledger: Ledger, search: str, numbers: Sequence[int]) -> dict[int, list[tuple[int, float]]]:
    """The accuracy of some trials after each of their epochs, as (epoch, value), by the trial's number."""
    columns = Trial.number, Epoch.epoch, Epoch.accuracy
    found: dict[int, list[tuple[int, float]]] = {}
    key = find_id(ledger, search)
    with ledger.reading() as session:
        for at in range(0, len(numbers), _AT_ONCE):
            mine = Trial.search_id == key, Trial.number.in_(numbers[at : at + _AT_ONCE])
            joined = (
                select(*columns).join(Epoch, Epoch.trial_id == Trial.id).where(*mine).order_by(Epoch.epoch)
            )
            for number, epoch, accuracy in session.execute(joined):
                if accuracy is not None:
                    found.setdefault(number, []).append((epoch, accuracy))
    return found


@patient
def epochs_of(ledger: Ledger, search: str, numbers: Sequence[int]) -> dict[int, list[EpochRecord]]:
    """All that some trials reported, epoch by epoch, by the trial's number; none that reported nothing."""
    found: dict[int, list[EpochRecord]] = {}
    key = find_id(ledger, search)
    columns = Trial.number, Epoch.epoch, Epoch.train_loss, Epoch.accuracy, Epoch.seconds, Epoch.reported
    with ledger.reading() as session:
        for at in range(0, len(numbers), _AT_ONCE):
            mine = Trial.search_id == key, Trial.number.in_(numbers[at : at + _AT_ONCE])
            joined = select(*columns).join(Epoch, Epoch.trial_id == Trial.id).where(*mine)
            for number, epoch, loss, accuracy, seconds, reported in session.execute(
                joined.order_by(Epoch.epoch)
            ):
                record = EpochRecord(epoch, loss, accuracy, seconds, reported or {})
                found.setdefault(number, []).append(record)
    return found

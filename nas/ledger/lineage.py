"""From which trials the trials of a search were bred."""

from sqlalchemy import select

from nas.ledger.away import patient
from nas.ledger.rows import find_search
from nas.ledger.store import Ledger
from nas.ledger.tables import Trial


@patient
def parents_of(ledger: Ledger, search: str) -> dict[int, tuple[int, ...]]:
    """The parents of each trial that was bred from others, by number; InvalidInput without such a search."""
    with ledger.reading() as session:
        mine = Trial.search_id == find_search(session, search).id
        bred = select(Trial.number, Trial.parents).where(mine, Trial.parents.is_not(None))
        return {number: tuple(parents or ()) for number, parents in session.execute(bred)}

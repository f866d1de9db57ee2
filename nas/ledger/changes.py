"""The statements that change a trial. Each is made once: to make it anew takes longer than to run it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CursorResult, Interval, Table, and_, bindparam, func, select, update
from sqlalchemy.orm import Session

from nas.ledger.losses import Doubt
from nas.ledger.records import TrialState
from nas.ledger.tables import Trial

TRIALS: Table = Trial.__table__  # type: ignore[assignment]  # a class of tables has a table
_FENCED = (
    TRIALS.c.id == bindparam("of_id"),
    TRIALS.c.fence == bindparam("of_fence"),
    TRIALS.c.state == bindparam("of_state"),
)
_UNCHANGED = update(TRIALS).where(*_FENCED)
_HELD = _UNCHANGED.where(TRIALS.c.expires_at.is_not(None))
_LEASED_BY_SERVER = {"expires_at": func.now() + bindparam("of_lease", type_=Interval)}
_FREE = (
    select(Trial)
    .where(Trial.search_id == bindparam("of_search"), Trial.state == TrialState.QUEUED)
    .where(Trial.expires_at.is_(None), Trial.doubt == bindparam("of_doubt"))
    .order_by(Trial.number)
    .limit(1)
)
_ANY_FREE = _FREE.with_only_columns(Trial.id)


class Fenced(NamedTuple):
    """A trial, as long as it is as it was seen; ``is_held``: and as somebody has a lease on it."""

    id: int
    fence: int
    state: TrialState
    is_held: bool = False

    @property
    def clause(self) -> ColumnElement[bool]:
        """For a statement of another kind."""
        seen = and_(Trial.id == self.id, Trial.fence == self.fence, Trial.state == self.state)
        return and_(seen, Trial.expires_at.is_not(None)) if self.is_held else seen


def change(session: Session, which: Fenced, lease: timedelta | None, values: Mapping[str, Any]) -> int:
    """Change a trial; 0 where it is not as it was seen. A ``lease`` ends by the server's clock."""
    statement = _HELD if which.is_held else _UNCHANGED
    given = {**values, "of_id": which.id, "of_fence": which.fence, "of_state": which.state}
    if lease is not None:
        statement = statement.values(_LEASED_BY_SERVER)
        given["of_lease"] = lease
    return rows(session, statement, given)


def first_free(session: Session, search_id: int) -> Trial | None:
    """The first queued trial that nobody has; one that is doubted comes after all others."""
    for level in (Doubt.NONE, Doubt.LAST):
        given = {"of_search": search_id, "of_doubt": level}
        if (found := session.scalar(_FREE, given)) is not None:
            return found
    return None


def is_any_free(session: Session, search_id: int) -> bool:
    """Whether there is one."""
    levels = ({"of_search": search_id, "of_doubt": level} for level in (Doubt.NONE, Doubt.LAST))
    return any(session.scalar(_ANY_FREE, given) is not None for given in levels)


def rows(session: Session, statement: Any, given: Mapping[str, Any] | None = None) -> int:
    """How many rows a statement changed."""
    result = session.execute(statement, given, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - a data-changing statement always gives one
    return result.rowcount

"""Rows of the ledger's tables: finding them, numbering their changes, and what is handed out for them."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Table, bindparam, case, func, null, select, update
from sqlalchemy.orm import Session

from nas.ledger.entries import check_finite
from nas.ledger.records import TrialRecord
from nas.ledger.tables import Search, Trial
from nas.ledger.workers import Worker
from nas.objectives import ObjectiveValue
from search_spaces.errors import InvalidInput, nearest

if TYPE_CHECKING:
    from latency import Measurement


_SEARCHES: Table = Search.__table__  # type: ignore[assignment]  # a class of tables has a table
_TAKE = (
    update(_SEARCHES)
    .where(_SEARCHES.c.id == bindparam("of_search"))
    .values(revision=_SEARCHES.c.revision + 1)
    .returning(_SEARCHES.c.revision)
)


def find_search(session: Session, name: str) -> Search:
    """The row of a search; InvalidInput when there is none."""
    row = session.scalar(select(Search).where(Search.name == name))
    if row is None:
        names = session.scalars(select(Search.name).order_by(Search.id)).all()
        fix = f"{nearest(name, names)}the ledger holds: {', '.join(names) or 'none yet'}"
        raise InvalidInput("search", f"there is no search '{name}'", fix)
    return row


def next_revision(session: Session, search_id: int) -> int:
    """The number of a change; the search's row stays locked until the transaction ends.

    Whoever changes a trial takes it before, so that all lock in the same order.
    """
    revision = int(session.execute(_TAKE, {"of_search": search_id}).scalar_one())
    session.info[_REVISION] = revision
    return revision


_REVISION, _CHANGE = "revision", "change"
"""The keys of a session's ``info`` under which it keeps what it changes."""


class Change(NamedTuple):
    """A change of a trial. One that is lost leaves its revision to another trial, or to another fence."""

    trial_id: int
    fence: int
    revision: int

    def found(self) -> Select[int]:
        """What finds it, once it is committed and nothing has followed."""
        mine = Trial.id == self.trial_id, Trial.fence == self.fence, Trial.revision == self.revision
        return select(Trial.id).where(*mine)


def note_change(session: Session, trial_id: int, fence: int) -> None:
    """Have the ledger know the change of a trial again, should it not hear whether it was committed."""
    session.info[_CHANGE] = Change(trial_id, fence, session.info[_REVISION])


def noted_change(session: Session) -> Change | None:
    """What ``note_change`` was told in a session."""
    return session.info.get(_CHANGE)


def find_trial(session: Session, name: str, number: int) -> Trial:
    """The row of a trial; InvalidInput when there is no such search or number."""
    search = find_search(session, name)
    row = session.scalar(select(Trial).where(Trial.search_id == search.id, Trial.number == number))
    if row is None:
        last = session.scalar(select(func.max(Trial.number)).where(Trial.search_id == search.id))
        raise InvalidInput("number", f"'{name}' has no trial {number}", f"give a number in 0..{last}")
    return row


def trial_record(search: str, row: Trial | Row[Any]) -> TrialRecord:
    """What the ledger hands out for a row of trials, which has all columns."""
    by_workload = row.latency_by_workload
    return TrialRecord(
        search=search,
        number=row.number,
        state=row.state,
        accuracy=row.accuracy,
        latency_ms=row.latency_ms,
        measured_latency_ms=row.measured_latency_ms,
        measured_low_ms=row.measured_low_ms,
        measured_high_ms=row.measured_high_ms,
        measured_disturbed=row.measured_disturbed,
        size_kb=row.size_kb,
        digest=row.digest,
        architecture=row.architecture,
        choices=row.choices,
        error=row.error,
        started_at=row.started_at,
        finished_at=row.finished_at,
        worker=None if row.owner is None else Worker.from_text(row.owner).label,
        latency_by_workload=None if by_workload is None else [(key, ms) for key, ms in by_workload],
        estimated=tuple(row.estimated or ()),
        latency_low_ms=row.latency_low_ms,
        latency_high_ms=row.latency_high_ms,
        measuring_s=row.measuring_s,
        costs={name: ObjectiveValue(**cost) for name, cost in (row.costs or {}).items()},
        budget=row.budget,
        epochs_done=row.epochs_done,
        accuracies=tuple(row.accuracies or ()),
        same_as=row.same_as,
        passed_over=row.passed_over,
        passed_samples=tuple(row.passed_samples or ()),
        parents=tuple(row.parents or ()),
    )


def trial_columns(left_out: Collection[str]) -> list[ColumnElement[Any]]:
    """The columns for ``trial_record``, some of them as if nothing was there; rows are read twice as fast.

    An architecture that no choices lead to, such as a published network's, is there all the same: it is known
    by its name.
    """
    columns = Trial.__table__.columns
    missing: dict[str, ColumnElement[Any]] = {name: null() for name in left_out}
    if "architecture" in missing:
        missing["architecture"] = case((columns.choices.is_(None), columns.architecture))
    return [missing[c.key].label(c.key) if c.key in missing else c for c in columns]


def measured_columns(measured: "Measurement") -> dict[str, float | str | None]:
    """The columns of a trial that hold the time of its whole network.

    Raises:
        ValueError: the time is not finite.
    """
    low, high = measured.interval
    check_finite(milliseconds=measured.milliseconds, low=low, high=high)
    return {
        "measured_latency_ms": measured.milliseconds,
        "measured_low_ms": low,
        "measured_high_ms": high,
        "measured_disturbed": measured.disturbed,
    }

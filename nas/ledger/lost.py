"""The workers that were lost in trials, as rows keep them: noting one more, and correcting what was noted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from nas.ledger.losses import Cause, Doubt, Loss, doubt
from nas.ledger.records import TrialState
from nas.ledger.rows import next_revision
from nas.ledger.tables import Trial
from nas.ledger.workers import Worker

NO_LOSSES: dict[str, Any] = {"losses": None, "doubt": Doubt.NONE}
"""The columns of a trial that got somewhere: what was lost before does not count any more."""
GONE, LATE = "it is gone", "its lease ran out"
"""How a worker was lost, for one who only finds its trial."""


def losses_of(row: Trial) -> list[Loss]:
    """The workers that were lost in a trial since it last got anywhere, oldest first."""
    return [Loss.from_dict(fields) for fields in row.losses or ()]


def with_last(row: Trial, cause: Cause = Cause.UNKNOWN, how: str = "") -> list[Loss]:
    """Those, and the one that holds it now, if any does."""
    losses = losses_of(row)
    if row.owner is None or row.expires_at is None:
        return losses
    how = how or (GONE if Worker.from_text(row.owner).is_known_dead() else LATE)
    point = row.epochs_done or 0 if row.state is TrialState.RUNNING else None
    return [*losses, Loss(row.owner, point, cause, how)]


def to_column(losses: Sequence[Loss]) -> list[dict[str, Any]] | None:
    """As the column has them."""
    return [loss.to_dict() for loss in losses] or None


def correct(session: Session, search_id: int, worker: Worker, cause: Cause, how: str) -> int | None:
    """Say how a worker was lost of which others found nothing but its trial; that trial's number, if any."""
    revision = next_revision(session, search_id)
    noted = select(Trial).where(Trial.search_id == search_id, Trial.losses.is_not(None))
    for row in session.scalars(noted.order_by(Trial.number)):
        losses = losses_of(row)
        known = [_corrected(loss, worker, cause, how) for loss in losses]
        if known != losses:
            values = {"losses": to_column(known), "doubt": doubt(known), "revision": revision}
            session.execute(update(Trial).where(Trial.id == row.id).values(**values))
            return row.number
    return None


def _corrected(loss: Loss, worker: Worker, cause: Cause, how: str) -> Loss:
    is_it = replace(Worker.from_text(loss.worker), started=0) == worker
    return replace(loss, cause=cause, how=how) if is_it and loss.how in (GONE, LATE) else loss

"""Where paused trials go on: their checkpoints, and which of their epochs count until then."""

from datetime import UTC, datetime

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.orm import Session

from nas.ledger.away import patient
from nas.ledger.records import TrialState
from nas.ledger.rows import find_search, find_trial, next_revision
from nas.ledger.store import Ledger
from nas.ledger.tables import Checkpoint, Epoch, Trial


@patient
def tensors_of(ledger: Ledger, search: str, number: int) -> bytes | None:
    """What the training of a trial that was paused is to go on from; None where it starts over."""
    with ledger.reading() as session:
        trial = find_trial(session, search, number)
        return session.scalar(select(Checkpoint.tensors).where(Checkpoint.trial_id == trial.id)) or None


@patient
def running_epochs(ledger: Ledger, search: str) -> list[int]:
    """How many epochs each running trial of a search has been through."""
    with ledger.reading() as session:
        mine = find_search(session, search).id
        running = Trial.search_id == mine, Trial.state == TrialState.RUNNING
        return [done or 0 for done in session.scalars(select(Trial.epochs_done).where(*running))]


@patient
def end_paused(ledger: Ledger, search: str, revision: int) -> bool:
    """Prune every paused trial of a search, as none will go on, and drop their checkpoints.

    ``revision`` is that of the history by which this was found (``nas.ledger.history``). Nothing is done, and
    the answer is False, where anything has changed since, or a trial is queued or runs.
    """
    with ledger.writing() as session:
        mine = find_search(session, search).id
        new = next_revision(session, mine)
        alive = or_(Trial.revision > revision, Trial.state.in_([TrialState.QUEUED, TrialState.RUNNING]))
        if session.scalar(select(Trial.id).where(Trial.search_id == mine, alive).limit(1)) is not None:
            return False
        paused = Trial.search_id == mine, Trial.state == TrialState.PAUSED
        session.execute(delete(Checkpoint).where(Checkpoint.trial_id.in_(select(Trial.id).where(*paused))))
        ends = {"state": TrialState.PRUNED, "finished_at": datetime.now(UTC), "revision": new}
        session.execute(
            update(Trial).where(*paused).values(**ends), execution_options={"synchronize_session": False}
        )
    return True


def keep(session: Session, trial_id: int, epoch: int, tensors: bytes) -> None:
    """Put a checkpoint in place of an earlier one; without tensors it only tells that the epochs count."""
    drop(session, trial_id)
    session.execute(insert(Checkpoint).values(trial_id=trial_id, epoch=epoch, tensors=tensors))


def drop(session: Session, trial_id: int) -> None:
    """The trial will not go on."""
    session.execute(delete(Checkpoint).where(Checkpoint.trial_id == trial_id))


def epoch_of(session: Session, trial_id: int) -> int | None:
    """After which epoch a trial goes on; None where it starts over."""
    return session.scalar(select(Checkpoint.epoch).where(Checkpoint.trial_id == trial_id))


def go_back(session: Session, trial_id: int) -> int | None:
    """Forget the epochs after a trial's checkpoint, which will be trained again; the epoch of that.

    The caller has changed the trial in the same transaction, so that readers notice.
    """
    kept = epoch_of(session, trial_id)
    session.execute(delete(Epoch).where(Epoch.trial_id == trial_id, Epoch.epoch > (kept or 0)))
    back = update(Trial).where(Trial.id == trial_id).values(epochs_done=kept)
    session.execute(back, execution_options={"synchronize_session": False})
    return kept

"""What a worker does to the trials that it has claimed: every write from the proposal to the end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from nas.ledger import checkpoints, lost
from nas.ledger.away import patient
from nas.ledger.changes import rows
from nas.ledger.entries import Cost, EpochRecord, check_finite
from nas.ledger.leases import LEASE_S, PAUSED, Claim, Leases, held_by
from nas.ledger.losses import Cause, Doubt
from nas.ledger.lost import NO_LOSSES
from nas.ledger.mistakes import Predictions
from nas.ledger.predictions import keep
from nas.ledger.records import TrialRecord, TrialState
from nas.ledger.rows import measured_columns, next_revision
from nas.ledger.tables import Epoch, Search, Trial, Weights
from nas.ledger.workers import Worker
from nas.objectives import ObjectiveValue

if TYPE_CHECKING:
    from latency import Measurement

_OF_DIGEST = select(Trial.budget).where(
    Trial.search_id == bindparam("of_search"),
    Trial.digest == bindparam("of_digest"),
    Trial.id != bindparam("of_id"),
)
_EPOCHS = insert(Epoch.__table__)  # type: ignore[arg-type]  # a class of tables has a table
_WEIGHTS = insert(Weights.__table__)  # type: ignore[arg-type]

__all__ = ["LEASE_S", "Claim", "Claims"]


class Claims(Leases):
    """The writing half of the ledger for one worker and one search; may be shared by threads."""

    @patient
    def propose(
        self,
        claim: Claim,
        *,
        choices: Mapping[str, str | int] | None,
        architecture: str,
        digest: str,
        budget: int | None = None,
        parents: Sequence[int] = (),
        passed_over: int = 0,
        passed_samples: Sequence[Mapping[str, Any]] = (),
        cost: Cost | None = None,
    ) -> bool:
        """Record the architecture, its JSON and digest, and what it costs.

        ``choices`` are those that led to it, if it comes from the space, ``budget`` the epochs that it is to
        be trained, if not all, ``parents`` the trials that it was bred from. So many proposals were passed
        over before it, some of them ``passed_samples``.

        Returns:
            False, and nothing is recorded, where another trial has the same architecture and budget.
        """
        values: dict[str, Any] = {"architecture": architecture, "digest": digest, "budget": budget}
        values["parents"] = list(parents) or None
        passed = {"passed_over": passed_over, "passed_samples": list(passed_samples) or None}
        chosen = None if choices is None else dict(choices)
        costs = {} if cost is None else cost_columns(cost, claim.trial)
        with self._ledger.writing() as session:
            revision = next_revision(session, self._search_id)  # so that one at a time looks
            if self._has_other(session, claim, digest, budget):
                return False
            self._write(session, claim, **values, **passed, **costs, choices=chosen, revision=revision)
        return True

    def _has_other(self, session: Session, claim: Claim, digest: str, budget: int | None) -> bool:
        given = {"of_search": self._search_id, "of_id": claim.trial_id, "of_digest": digest}
        others = session.execute(_OF_DIGEST, given)
        return any(theirs == budget for (theirs,) in others)

    @patient
    def record_cost(self, claim: Claim, cost: Cost) -> None:
        """Record the predicted cost; StaleClaimError when the trial is another's.

        The seconds of measuring are added to those that the trial had.
        """
        with self._ledger.writing() as session:
            self._write(session, claim, **cost_columns(cost, claim.trial))

    @patient
    def record_epoch(self, claim: Claim, epoch: EpochRecord) -> None:
        """Record one epoch; StaleClaimError when the trial is another's.

        A trial that starts over goes again through the epochs that it was paused after.
        """
        before = claim.trial.epochs_done or 0
        with self._ledger.writing() as session:
            self._write(session, claim, epochs_done=max(epoch.epoch, before))
            if epoch.epoch <= before:
                again = Epoch.trial_id == claim.trial_id, Epoch.epoch == epoch.epoch
                session.execute(delete(Epoch).where(*again))
            session.execute(_EPOCHS, {"trial_id": claim.trial_id, **epoch.to_dict()})

    @patient
    def pause(
        self,
        claim: Claim,
        *,
        epoch: int,
        accuracy: float | None,
        values: Mapping[str, ObjectiveValue] | None = None,
        checkpoint: bytes = b"",
    ) -> None:
        """Put a trial aside after ``epoch``, to go on from ``checkpoint`` if ever; StaleClaimError as above.

        Without a checkpoint it will start over. Its epochs count either way. ``values`` as in ``finish``.
        """
        result = {"accuracy": accuracy, **({} if values is None else {"costs": _plain(values)})}
        free = {"owner": None, "expires_at": None, **NO_LOSSES}
        with self._ledger.writing() as session:
            self._write(session, claim, state=PAUSED, **result, **free)
            checkpoints.keep(session, claim.trial_id, epoch, checkpoint)

    @patient
    def finish(
        self,
        claim: Claim,
        state: TrialState,
        *,
        accuracy: float | None = None,
        accuracies: Sequence[float] = (),
        values: Mapping[str, ObjectiveValue] | None = None,
        weights: bytes | None = None,
        predictions: Predictions | None = None,
        error: str | None = None,
    ) -> None:
        """End the trial: its state and its result in one transaction; StaleClaimError when it is another's.

        ``accuracies`` are those of its trainings, ``values`` the other objectives by name, ``weights`` the
        trained network's tensors as a safetensors file, ``predictions`` what that gets wrong.

        Raises:
            ValueError: ``state`` is not final, or a complete trial has neither a finite accuracy nor values.
        """
        if not state.finished:
            raise ValueError(f"'{state}' does not end a trial")
        if state is TrialState.COMPLETE and accuracy is None and not values:
            raise ValueError("a complete trial has an accuracy, or other values")
        if accuracy is not None:
            check_finite(accuracy=accuracy)
        result: dict[str, Any] = {"state": state, "accuracy": accuracy, "error": error}
        result |= {} if len(accuracies) < 2 else {"accuracies": list(accuracies)}
        result |= {} if values is None else {"costs": _plain(values)}
        result["finished_at"] = datetime.now(UTC)
        with self._ledger.writing() as session:
            self._write(session, claim, **result, expires_at=None, **NO_LOSSES)
            if not claim.is_first:
                checkpoints.drop(session, claim.trial_id)
            if weights is not None:
                session.execute(_WEIGHTS, {"trial_id": claim.trial_id, "tensors": weights})
            if predictions is not None:
                keep(session, claim.trial_id, predictions)

    @patient
    def lose_claimed(self, claim: Claim, worker: Worker, cause: Cause, how: str) -> Doubt:
        """Record how the process that evaluated a claimed trial, another than this one, was lost, and put the
        trial back; what becomes of it."""
        with self._ledger.reading() as session:
            seen = session.scalars(select(Trial).where(held_by(claim).clause)).one_or_none()
        if seen is None:
            return Doubt.NONE  # it is another's
        *before, last = lost.with_last(seen, cause, how)
        return self._lose(seen, [*before, replace(last, worker=worker.to_text())]) or Doubt.NONE

    @patient
    def end_search(self, why: str, claim: Claim | None = None) -> None:
        """End the search where no trial can be begun any more: those that were not are gone, ``claim``'s too.

        Raises:
            StaleClaimError: the trial is another's.
        """
        mine = Trial.search_id == self._search_id
        gone = and_(mine, Trial.state == TrialState.QUEUED, Trial.digest.is_(None))
        with self._ledger.writing() as session:
            next_revision(session, self._search_id)
            if claim is not None and not rows(session, delete(Trial).where(held_by(claim).clause)):
                raise self._stale(claim)
            rows(session, delete(Trial).where(gone))
            rows(session, update(Search).where(Search.id == self._search_id).values(ended=why))

    @patient
    def record_measured(
        self,
        claim: Claim,
        *,
        measured: "Measurement | None" = None,
        error: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Record the whole network's time, or why there is none; StaleClaimError as above.

        ``seconds`` of measuring are added to those that the trial had.
        """
        spent = {"measuring_s": (claim.trial.measuring_s or 0.0) + seconds}
        result = {"error": error, **spent, **({} if measured is None else measured_columns(measured))}
        free = {"owner": claim.evaluated_by, "expires_at": None, **NO_LOSSES}
        with self._ledger.writing() as session:
            self._write(session, claim, **result, **free)


def cost_columns(cost: Cost, trial: TrialRecord) -> dict[str, Any]:
    """The columns that hold a cost; the seconds of measuring are added to those that the trial had."""
    seconds = (trial.measuring_s or 0.0) + cost.measuring_s
    return {**vars(cost), "measuring_s": seconds, "costs": _plain(cost.costs)}


def _plain(values: Mapping[str, ObjectiveValue]) -> dict[str, dict[str, Any]]:
    return {name: value._asdict() for name, value in values.items()}

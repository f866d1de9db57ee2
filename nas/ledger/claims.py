"""What a worker does to trials: claiming by compare-and-set, with a lease and a fence, and every write after.

A claim raises the trial's ``fence`` by one and sets ``owner`` and ``expires_at``. The owner renews the
lease while it works. A trial whose lease ran out, or whose owner is known to be dead, may be claimed by
another; that raises the fence again, so that the former owner's writes, should it still live, are refused.
Clocks of different hosts may differ by less than a lease; more than that costs double work, nothing else.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, CursorResult, and_, delete, insert, select, update
from sqlalchemy.orm import Session

from nas.ledger.entries import Cost, EpochRecord, check_finite
from nas.ledger.records import TrialRecord, TrialState
from nas.ledger.store import Ledger, find_search, measured_columns, next_revision, trial_record
from nas.ledger.tables import Epoch, Search, Trial, Weights
from nas.ledger.workers import Worker
from nas.objectives import ObjectiveValue
from search_spaces.errors import StaleClaimError

if TYPE_CHECKING:
    from latency import Measurement

LEASE_S = 60.0
Clock = Callable[[], datetime]
# A trial that takes its worker down with it this often (a crash in compiled code, say) is given up.
MAX_DEATHS = 3

RUNNING = TrialState.RUNNING


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Claim:
    """The right to write to one trial until another claims it; ``trial`` is as it was when claimed."""

    trial: TrialRecord
    trial_id: int
    fence: int
    state: TrialState


class Claims:
    """The writing half of the ledger for one worker and one search; may be shared by threads.

    Leases begin and run out by ``clock``.
    """

    def __init__(
        self,
        ledger: Ledger,
        search: str,
        worker: Worker,
        lease_s: float = LEASE_S,
        clock: Clock = _utc_now,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._search = search
        self._worker = worker
        self._lease = timedelta(seconds=lease_s)
        with ledger.reading() as session:
            self._search_id = find_search(session, search).id

    def claim(self) -> Claim | None:
        """A trial to run: an abandoned one first, else the first queued one; None when there is neither."""
        for seen in self._candidates(Trial.state == TrialState.QUEUED, Trial.state == RUNNING):
            if seen.state is RUNNING and seen.deaths + 1 >= MAX_DEATHS:
                self._give_up(seen)
            elif claim := self._take(seen, RUNNING, started_at=datetime.now(UTC), error=None):
                return claim
        return None

    def claim_measuring(self, numbers: Collection[int]) -> Claim | None:
        """One of the complete trials ``numbers`` whose whole network nobody has timed or is timing."""
        for seen in self._candidates(_unmeasured(numbers), _unmeasured(numbers)):
            if claim := self._take(seen, TrialState.COMPLETE):
                return claim
        return None

    def are_measured(self, numbers: Collection[int]) -> bool:
        """Whether others are measuring one of the trials ``numbers``."""
        with self._ledger.reading() as session:
            mine = and_(Trial.search_id == self._search_id, _unmeasured(numbers))
            held = session.scalars(select(Trial).where(mine, Trial.expires_at.is_not(None))).all()
        return any(not self._is_abandoned(trial) for trial in held)

    def renew(self, claim: Claim) -> None:
        """Put off the end of the lease; StaleClaimError when the trial is another's."""
        with self._ledger.writing() as session:
            renewed = update(Trial).where(_held(claim)).values(expires_at=self._expiry())
            if not _rows(session, renewed):
                raise self._stale(claim)

    def propose(
        self,
        claim: Claim,
        *,
        choices: Mapping[str, str | int] | None,
        architecture: str,
        digest: str,
        budget: int | None = None,
        passed_over: int = 0,
        passed_samples: Sequence[Mapping[str, Any]] = (),
        cost: Cost | None = None,
    ) -> bool:
        """Record the architecture, its JSON and digest, and what it costs; StaleClaimError as above.

        ``choices`` are those that led to it, if it comes from the space, ``budget`` the epochs that it is to
        be trained, if not all. So many proposals were passed over before it, some of them ``passed_samples``.

        Returns:
            False, and nothing is recorded, where another trial has the same architecture and budget.
        """
        values = {"architecture": architecture, "digest": digest, "budget": budget}
        passed = {"passed_over": passed_over, "passed_samples": list(passed_samples) or None}
        chosen = None if choices is None else dict(choices)
        costs = {} if cost is None else _cost_columns(cost, claim.trial)
        with self._ledger.writing() as session:
            revision = next_revision(session, self._search_id)  # so that one at a time looks
            if self._has_other(session, claim, digest, budget):
                return False
            self._write(session, claim, **values, **passed, **costs, choices=chosen, revision=revision)
        return True

    def _has_other(self, session: Session, claim: Claim, digest: str, budget: int | None) -> bool:
        same = select(Trial.id).where(Trial.search_id == self._search_id, Trial.digest == digest)
        others = same.where(Trial.id != claim.trial_id, Trial.budget.is_not_distinct_from(budget))
        return session.scalar(others.limit(1)) is not None

    def record_cost(self, claim: Claim, cost: Cost) -> None:
        """Record the predicted cost; StaleClaimError when the trial is another's.

        The seconds of measuring are added to those that the trial had.
        """
        with self._ledger.writing() as session:
            self._write(session, claim, **_cost_columns(cost, claim.trial))

    def record_epoch(self, claim: Claim, epoch: EpochRecord) -> None:
        """Record one epoch; StaleClaimError when the trial is another's."""
        with self._ledger.writing() as session:
            self._write(session, claim, epochs_done=epoch.epoch)
            session.execute(insert(Epoch).values(trial_id=claim.trial_id, **epoch.to_dict()))

    def finish(
        self,
        claim: Claim,
        state: TrialState,
        *,
        accuracy: float | None = None,
        accuracies: Sequence[float] = (),
        values: Mapping[str, ObjectiveValue] | None = None,
        weights: bytes | None = None,
        error: str | None = None,
    ) -> None:
        """End the trial: its state and its result in one transaction; StaleClaimError when it is another's.

        ``accuracies`` are those of its trainings, ``values`` the other objectives by name, ``weights`` the
        trained network's tensors as a safetensors file.

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
            self._write(session, claim, **result, expires_at=None, deaths=0)
            if weights is not None:
                session.execute(insert(Weights).values(trial_id=claim.trial_id, tensors=weights))

    def end_search(self, why: str, claim: Claim | None = None) -> None:
        """End the search where no trial can be begun any more: those that were not are gone, ``claim``'s too.

        Raises:
            StaleClaimError: the trial is another's.
        """
        mine = Trial.search_id == self._search_id
        gone = and_(mine, Trial.state == TrialState.QUEUED, Trial.digest.is_(None))
        with self._ledger.writing() as session:
            next_revision(session, self._search_id)
            if claim is not None and not _rows(session, delete(Trial).where(_held(claim))):
                raise self._stale(claim)
            _rows(session, delete(Trial).where(gone))
            _rows(session, update(Search).where(Search.id == self._search_id).values(ended=why))

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
        with self._ledger.writing() as session:
            self._write(session, claim, **result, expires_at=None, deaths=0)

    def release(self, claim: Claim, why: str | None = None) -> None:
        """Give the trial back as it was before the claim, its proposal kept; no-op when it is another's.

        ``why`` is shown with the trial until it is claimed again.
        """
        state = TrialState.QUEUED if claim.state is RUNNING else claim.state
        with self._ledger.writing() as session:
            values = {"state": state, "owner": None, "expires_at": None, "error": why}
            if not self._change(session, _held(claim), **values):
                return
            if state is TrialState.QUEUED:
                session.execute(delete(Epoch).where(Epoch.trial_id == claim.trial_id))

    def release_dead(self) -> None:
        """Give back every trial whose owner is known to be dead, without holding it against the trial."""
        for seen in self._candidates(None, Trial.expires_at.is_not(None)):
            claim = Claim(trial_record(self._search, seen), seen.id, seen.fence, seen.state)
            self.release(claim)

    def at_work(self) -> list[str]:
        """The other workers, by name, that hold a trial and are not known to be dead."""
        with self._ledger.reading() as session:
            mine = select(Trial).where(Trial.search_id == self._search_id, Trial.expires_at.is_not(None))
            owners = {row.owner for row in session.scalars(mine) if row.owner and not self._is_abandoned(row)}
        others = owners - {self._worker.to_text()}
        return sorted(Worker.from_text(owner).label for owner in others)

    def epoch_accuracies(self, epoch: int) -> dict[int, float]:
        """Validation accuracy after ``epoch`` of each complete trial that got there, by trial number."""
        with self._ledger.reading() as session:
            rows = session.execute(
                select(Trial.number, Epoch.accuracy)
                .join(Epoch, Epoch.trial_id == Trial.id)
                .where(Trial.search_id == self._search_id, Trial.state == TrialState.COMPLETE)
                .where(Epoch.epoch == epoch)
            )
            return {row.number: row.accuracy for row in rows}

    def _candidates(self, free: ColumnElement[bool] | None, held: ColumnElement[bool]) -> list[Trial]:
        """The trials that meet ``held`` and whose owner has let them go, then those ``free`` and nobody's."""
        with self._ledger.reading() as session:
            mine = select(Trial).where(Trial.search_id == self._search_id).order_by(Trial.number)
            owned = session.scalars(mine.where(held, Trial.expires_at.is_not(None))).all()
            abandoned = [trial for trial in owned if self._is_abandoned(trial)]
            if free is None:
                return abandoned
            # One claimer at a time wins the first; the others need a few more to turn to.
            return [*abandoned, *session.scalars(mine.where(free, Trial.expires_at.is_(None)).limit(16))]

    def _is_abandoned(self, trial: Trial) -> bool:
        expired = trial.expires_at is not None and trial.expires_at < self._clock()
        return expired or (trial.owner is not None and Worker.from_text(trial.owner).is_known_dead())

    def _take(self, seen: Trial, state: TrialState, **values: Any) -> Claim | None:
        """Claim a trial if it still is as it was ``seen``."""
        lost_owner = seen.expires_at is not None
        lease = {"owner": self._worker.to_text(), "expires_at": self._expiry(), "fence": seen.fence + 1}
        deaths = seen.deaths + 1 if lost_owner else seen.deaths
        with self._ledger.writing() as session:
            if not self._change(session, _unchanged(seen), state=state, deaths=deaths, **lease, **values):
                return None
            if state is RUNNING:
                session.execute(delete(Epoch).where(Epoch.trial_id == seen.id))
        return Claim(trial_record(self._search, seen), seen.id, seen.fence + 1, state)

    def _give_up(self, seen: Trial) -> None:
        error = f"its worker died {MAX_DEATHS} times in this trial"
        result = {"state": TrialState.FAILED, "error": error, "finished_at": datetime.now(UTC)}
        with self._ledger.writing() as session:
            self._change(session, _unchanged(seen), **result, expires_at=None, fence=seen.fence + 1)

    def _write(self, session: Session, claim: Claim, **values: Any) -> None:
        values = {"expires_at": self._expiry(), **values}
        if not self._change(session, _held(claim), **values):
            raise self._stale(claim)

    def _stale(self, claim: Claim) -> StaleClaimError:
        number = claim.trial.number
        return StaleClaimError(f"trial {number} of '{self._search}' was taken over by another worker")

    def _change(self, session: Session, which: ColumnElement[bool], **values: Any) -> int:
        """Change a trial so that every reader notices (``nas.ledger.history``); 0 where there is none."""
        revision = values.pop("revision", None) or next_revision(session, self._search_id)
        return _rows(session, update(Trial).where(which).values(revision=revision, **values))

    def _expiry(self) -> datetime:
        return self._clock() + self._lease


def _cost_columns(cost: Cost, trial: TrialRecord) -> dict[str, Any]:
    """The columns that hold a cost; the seconds of measuring are added to those that the trial had."""
    seconds = (trial.measuring_s or 0.0) + cost.measuring_s
    return {**vars(cost), "measuring_s": seconds, "costs": _plain(cost.costs)}


def _plain(values: Mapping[str, ObjectiveValue]) -> dict[str, dict[str, Any]]:
    return {name: value._asdict() for name, value in values.items()}


def _held(claim: Claim) -> ColumnElement[bool]:
    """The trial while ``claim`` is the last claim of it and has not been ended."""
    return and_(
        Trial.id == claim.trial_id,
        Trial.fence == claim.fence,
        Trial.state == claim.state,
        Trial.expires_at.is_not(None),
    )


def _unmeasured(numbers: Collection[int]) -> ColumnElement[bool]:
    """Complete trials that were not timed whole, and that it is worth to try with."""
    return and_(
        Trial.number.in_(numbers),
        Trial.state == TrialState.COMPLETE,
        Trial.measured_latency_ms.is_(None),
        Trial.error.is_(None),
        Trial.deaths < MAX_DEATHS,
    )


def _unchanged(seen: Trial) -> ColumnElement[bool]:
    return and_(Trial.id == seen.id, Trial.fence == seen.fence, Trial.state == seen.state)


def _rows(session: Session, statement: Any) -> int:
    """How many rows a statement changed."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - a data-changing statement always gives one
    return result.rowcount

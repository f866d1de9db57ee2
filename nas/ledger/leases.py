"""Who owns a trial, and for how long: claiming by compare-and-set, with a lease and a fence.

A claim raises the trial's ``fence`` by one and sets ``owner`` and ``expires_at``. The owner renews the
lease while it works. A trial whose lease ran out, or whose owner is known to be dead, may be claimed by
another; that raises the fence again, so that the former owner's writes, should it still live, are refused.
The database's clock alone decides when a lease runs out (``nas.ledger.clock``).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, select, update
from sqlalchemy.orm import Session

from nas.ledger import checkpoints, clock, lost
from nas.ledger.away import patient
from nas.ledger.losses import Cause, Doubt, Loss, doubt, told
from nas.ledger.records import TrialRecord, TrialState
from nas.ledger.rows import next_revision, note_change, trial_record
from nas.ledger.store import Ledger, find_id
from nas.ledger.tables import Trial
from nas.ledger.workers import Worker
from search_spaces.errors import StaleClaimError

LEASE_S = 60.0
Clock = Callable[[], datetime]

RUNNING, PAUSED = TrialState.RUNNING, TrialState.PAUSED


@dataclass(frozen=True)
class Claim:
    """The right to write to one trial until another claims it; ``trial`` is as it was when claimed."""

    trial: TrialRecord
    trial_id: int
    fence: int
    state: TrialState


class Leases:
    """Claims the trials of one search for one worker; may be shared by threads.

    Leases begin and run out by the database's clock, or by another that is given.
    """

    def __init__(
        self,
        ledger: Ledger,
        search: str,
        worker: Worker,
        lease_s: float = LEASE_S,
        clock: Clock | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._search = search
        self._worker = worker
        self._lease = timedelta(seconds=lease_s)
        self._search_id = find_id(ledger, search)

    def claim(self) -> Claim | None:
        """A trial to run: an abandoned one first, else the first queued one; None when there is neither.

        An abandoned one that was paused before goes on from its checkpoint. One at which worker after worker
        was lost comes after all queued ones (``nas.ledger.losses``).
        """
        return self._claimed(Trial.state == TrialState.QUEUED)

    def claim_abandoned(self) -> Claim | None:
        """A running trial whose owner has let it go; None when there is none."""
        return self._claimed(None)

    @patient
    def _claimed(self, free: ColumnElement[bool] | None) -> Claim | None:
        candidates = self._candidates(free, Trial.state == RUNNING)
        for seen in candidates:
            if claim := self._claim(seen, RUNNING, started_at=datetime.now(UTC), error=None):
                return claim
        was_put_back = any(seen.expires_at is not None for seen in candidates)
        return self._claimed(free) if free is not None and was_put_back else None

    def _claim(self, seen: Trial, state: TrialState, **values: Any) -> Claim | None:
        """Claim a trial as it was seen, unless it is doubted for how its last owner was lost."""
        losses = lost.with_last(seen)
        if len(losses) > len(lost.losses_of(seen)) and doubt(losses):
            self._lose(seen, losses)
            return None
        return self._take(seen, state, losses=lost.to_column(losses), **values)

    @patient
    def claim_paused(self, numbers: Sequence[int]) -> Claim | None:
        """The first of the trials ``numbers`` that is paused and nobody else claims, to be trained on."""
        with self._ledger.reading() as session:
            which = Trial.search_id == self._search_id, Trial.state == PAUSED, Trial.number.in_(numbers[:16])
            paused = {trial.number: trial for trial in session.scalars(select(Trial).where(*which))}
        for seen in (paused[number] for number in numbers if number in paused):
            if claim := self._take(seen, RUNNING, error=None):
                return claim
        return None

    @patient
    def claim_measuring(self, numbers: Collection[int]) -> Claim | None:
        """One of the complete trials ``numbers`` whose whole network nobody has timed or is timing."""
        for seen in self._candidates(_unmeasured(numbers), _unmeasured(numbers)):
            if claim := self._claim(seen, TrialState.COMPLETE):
                return claim
        return None

    @patient
    def are_measured(self, numbers: Collection[int]) -> bool:
        """Whether others are measuring one of the trials ``numbers``."""
        with self._ledger.reading() as session:
            mine = and_(Trial.search_id == self._search_id, _unmeasured(numbers))
            return any(not is_abandoned for _, is_abandoned in self._held(session, mine))

    def renew(self, claim: Claim) -> None:
        """Put off the end of the lease; StaleClaimError when the trial is another's."""
        with self._ledger.writing() as session:
            renewed = update(Trial).where(held_by(claim)).values(expires_at=self._now(session, self._lease))
            if not rows(session, renewed):
                raise self._stale(claim)

    @patient
    def release(self, claim: Claim, why: str | None = None) -> None:
        """Give the trial back as it was before the claim, its proposal kept; no-op when it is another's.

        A trial that was paused is so again.
        ``why`` is shown with the trial until it is claimed again.
        """
        with self._ledger.writing() as session:
            state = claim.state
            if state is RUNNING:
                is_paused = checkpoints.epoch_of(session, claim.trial_id) is not None
                state = PAUSED if is_paused else TrialState.QUEUED
            values = {"state": state, "owner": None, "expires_at": None, "error": why}
            if not self._change(session, held_by(claim), **values):
                return
            note_change(session, claim.trial_id, claim.fence)
            if claim.state is RUNNING:
                checkpoints.go_back(session, claim.trial_id)

    @patient
    def release_dead(self) -> None:
        """Give back every trial whose owner is known to be dead, without holding it against the trial."""
        for seen in self._candidates(None, Trial.expires_at.is_not(None)):
            claim = Claim(trial_record(self._search, seen), seen.id, seen.fence, seen.state)
            self.release(claim)

    @patient
    def lose(self, pid: int, cause: Cause, how: str) -> tuple[int, Doubt] | None:
        """Record how a worker on this machine, which is gone, was lost, and put its trial back at once.

        Where another has claimed that trial already, what it noted of the loss is corrected.

        Returns:
            The number of the trial and what becomes of it; None where the worker had none.
        """
        worker = replace(self._worker, pid=pid, started=0)
        with self._ledger.reading() as session:
            mine = Trial.search_id == self._search_id, Trial.owner.is_not(None), Trial.expires_at.is_not(None)
            held = session.scalars(select(Trial).where(*mine)).all()
        for seen in held:
            if replace(Worker.from_text(str(seen.owner)), started=0) == worker:
                return seen.number, self._lose(seen, lost.with_last(seen, cause, how))
        with self._ledger.writing() as session:
            number = lost.correct(session, self._search_id, worker, cause, how)
        return None if number is None else (number, Doubt.NONE)

    def _lose(self, seen: Trial, losses: list[Loss]) -> Doubt:
        """Put a trial back that its owner will not end, unless too many owners were lost in it."""
        found, state = doubt(losses), seen.state
        with self._ledger.writing() as session:
            values: dict[str, Any] = {"losses": lost.to_column(losses), "doubt": found, "expires_at": None}
            if found is Doubt.GIVEN_UP:
                values["error"] = told(losses)
                if state is RUNNING:
                    values |= {"state": TrialState.FAILED, "finished_at": datetime.now(UTC)}
            elif state is RUNNING:
                is_paused = checkpoints.epoch_of(session, seen.id) is not None
                values["state"] = PAUSED if is_paused else TrialState.QUEUED
            if found is not Doubt.GIVEN_UP:
                values["owner"] = None
            if self._change(session, _unchanged(seen), **values) and state is RUNNING:
                end = checkpoints.drop if found is Doubt.GIVEN_UP else checkpoints.go_back
                end(session, seen.id)
        return found

    @patient
    def at_work(self) -> list[str]:
        """The other workers, by name, that hold a trial and are not known to be dead."""
        with self._ledger.reading() as session:
            held = self._held(session, Trial.search_id == self._search_id)
            owners = {row.owner for row, is_abandoned in held if row.owner and not is_abandoned}
        others = owners - {self._worker.to_text()}
        return sorted(Worker.from_text(owner).label for owner in others)

    def _candidates(self, free: ColumnElement[bool] | None, held: ColumnElement[bool]) -> list[Trial]:
        """The trials that meet ``held`` and whose owner has let them go, then those ``free`` and nobody's."""
        with self._ledger.reading() as session:
            mine = Trial.search_id == self._search_id
            owned = self._held(session, and_(mine, held))
            abandoned = [trial for trial, is_abandoned in owned if is_abandoned]
            if free is None:
                return abandoned
            nobodys = select(Trial).where(mine, free, Trial.expires_at.is_(None)).order_by(Trial.number)
            # One claimer at a time wins the first; the others need a few more to turn to.
            for level in (Doubt.NONE, Doubt.LAST):
                if found := session.scalars(nobodys.where(Trial.doubt == level).limit(16)).all():
                    return [*abandoned, *found]
            return abandoned

    def _held(self, session: Session, which: ColumnElement[bool]) -> list[tuple[Trial, bool]]:
        """The trials that somebody holds, by number, each with whether its owner has let it go."""
        expired = (Trial.expires_at < self._now(session)).label("expired")
        held = select(Trial, expired).where(which, Trial.expires_at.is_not(None)).order_by(Trial.number)
        return [(trial, is_expired or _is_dead(trial)) for trial, is_expired in session.execute(held)]

    def _now(self, session: Session, later: timedelta = timedelta(0)) -> clock.Time:
        return clock.now(session, later) if self._clock is None else self._clock() + later

    def _take(self, seen: Trial, state: TrialState, **values: Any) -> Claim | None:
        """Claim a trial if it still is as it was ``seen``."""
        lease: dict[str, Any] = {"owner": self._worker.to_text(), "fence": seen.fence + 1}
        with self._ledger.writing() as session:
            lease["expires_at"] = self._now(session, self._lease)
            if not self._change(session, _unchanged(seen), state=state, **lease, **values):
                return None
            note_change(session, seen.id, seen.fence + 1)
            kept = checkpoints.go_back(session, seen.id) if state is RUNNING else seen.epochs_done
        trial = replace(trial_record(self._search, seen), epochs_done=kept)
        return Claim(trial, seen.id, seen.fence + 1, state)

    def _write(self, session: Session, claim: Claim, **values: Any) -> None:
        values = {"expires_at": self._now(session, self._lease), **values}
        if not self._change(session, held_by(claim), **values):
            raise self._stale(claim)
        note_change(session, claim.trial_id, claim.fence)

    def _stale(self, claim: Claim) -> StaleClaimError:
        number = claim.trial.number
        return StaleClaimError(f"trial {number} of '{self._search}' was taken over by another worker")

    def _change(self, session: Session, which: ColumnElement[bool], **values: Any) -> int:
        """Change a trial so that every reader notices (``nas.ledger.history``); 0 where there is none."""
        revision = values.pop("revision", None) or next_revision(session, self._search_id)
        return rows(session, update(Trial).where(which).values(revision=revision, **values))


def _is_dead(trial: Trial) -> bool:
    return trial.owner is not None and Worker.from_text(trial.owner).is_known_dead()


def held_by(claim: Claim) -> ColumnElement[bool]:
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
        Trial.doubt < Doubt.GIVEN_UP,
    )


def _unchanged(seen: Trial) -> ColumnElement[bool]:
    return and_(Trial.id == seen.id, Trial.fence == seen.fence, Trial.state == seen.state)


def rows(session: Session, statement: Any) -> int:
    """How many rows a statement changed."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - a data-changing statement always gives one
    return result.rowcount

"""Who owns a trial, and for how long: claiming by compare-and-set, with a lease and a fence.

A claim raises the trial's ``fence`` by one and sets ``owner`` and ``expires_at``. The owner renews the
lease while it works. A trial whose lease ran out, or whose owner is known to be dead, may be claimed by
another; that raises the fence again, so that the former owner's writes, should it still live, are refused.
The database's clock alone decides when a lease runs out (``nas.ledger.clock``).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from nas.ledger import checkpoints, clock, lost
from nas.ledger.away import patient
from nas.ledger.changes import Fenced, change, first_free, is_any_free
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
    """The right to write to one trial until another claims it; ``trial`` is as it was when claimed.

    ``evaluated_by`` is the worker, as text, that a complete trial names again once it is measured.
    """

    trial: TrialRecord
    trial_id: int
    fence: int
    state: TrialState
    evaluated_by: str | None = None

    @property
    def is_first(self) -> bool:
        """Whether nobody had it before, so that it has neither epochs nor a checkpoint."""
        return self.fence == 1 and self.trial.epochs_done is None


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
        return self._claimed(is_queued_too=True)

    def claim_abandoned(self) -> Claim | None:
        """A running trial whose owner has let it go; None when there is none."""
        return self._claimed(is_queued_too=False)

    @patient
    def _claimed(self, is_queued_too: bool) -> Claim | None:
        with self._ledger.reading() as session:
            abandoned = self._abandoned(session, Trial.state == RUNNING)
            is_any = is_queued_too and is_any_free(session, self._search_id)
        for seen in abandoned:
            if claim := self._claim(seen, RUNNING, started_at=datetime.now(UTC), error=None):
                return claim
        # who waits for others to end theirs locks nothing
        return self._claim_first() if is_any or (is_queued_too and abandoned) else None

    def _claim_first(self) -> Claim | None:
        """The first queued trial; whoever claims looks for it alone, so that none looks in vain."""
        with self._ledger.writing() as session:
            revision = next_revision(session, self._search_id)
            if (seen := first_free(session, self._search_id)) is None:
                return None
            begins = {"started_at": datetime.now(UTC), "error": None, "revision": revision}
            return self._take_in(session, seen, RUNNING, begins)

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
            return any(not is_abandoned for *_, is_abandoned in self._held(session, mine))

    def renew(self, claim: Claim) -> None:
        """Put off the end of the lease; StaleClaimError when the trial is another's."""
        with self._ledger.writing() as session:
            if not self._renewed(session, held_by(claim), {}):
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
            values: dict[str, Any] = {
                "state": state,
                "owner": claim.evaluated_by,
                "expires_at": None,
                "error": why,
            }
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
            if replace(Worker.from_text(str(seen.owner)), started=0) != worker:
                continue
            if (found := self._lose(seen, lost.with_last(seen, cause, how))) is not None:
                return seen.number, found
        with self._ledger.writing() as session:
            number = lost.correct(session, self._search_id, worker, cause, how)
        return None if number is None else (number, Doubt.NONE)

    def _lose(self, seen: Trial, losses: list[Loss]) -> Doubt | None:
        """Put a trial back that its owner will not end, unless too many owners were lost in it.

        Returns:
            What becomes of it; None where another has claimed it meanwhile.
        """
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
            if found is not Doubt.GIVEN_UP or state is TrialState.COMPLETE:
                values["owner"] = None  # who was lost in measuring did not evaluate it
            if not self._change(session, _unchanged(seen), **values):
                return None
            if state is RUNNING:
                end = checkpoints.drop if found is Doubt.GIVEN_UP else checkpoints.go_back
                end(session, seen.id)
        return found

    @patient
    def at_work(self) -> list[str]:
        """The other workers, by name, that hold a trial and are not known to be dead."""
        with self._ledger.reading() as session:
            held = self._held(session, Trial.search_id == self._search_id)
            owners = {owner for _, owner, is_abandoned in held if owner and not is_abandoned}
        others = owners - {self._worker.to_text()}
        return sorted(Worker.from_text(owner).label for owner in others)

    def _candidates(self, free: ColumnElement[bool] | None, held: ColumnElement[bool]) -> list[Trial]:
        """The trials that meet ``held`` and whose owner has let them go, then those ``free`` and nobody's."""
        with self._ledger.reading() as session:
            abandoned = self._abandoned(session, held)
            if free is None:
                return abandoned
            nobodys = select(Trial).where(Trial.search_id == self._search_id, free)
            nobodys = nobodys.where(Trial.expires_at.is_(None)).order_by(Trial.doubt, Trial.number)
            # One claimer at a time wins the first; the others need a few more to turn to.
            return [*abandoned, *session.scalars(nobodys.limit(16))]

    def _abandoned(self, session: Session, held: ColumnElement[bool]) -> list[Trial]:
        """The trials that meet ``held`` and whose owner has let them go, by number."""
        owned = self._held(session, and_(Trial.search_id == self._search_id, held))
        keys = [of for of, _, is_abandoned in owned if is_abandoned]
        by_number = select(Trial).where(Trial.id.in_(keys)).order_by(Trial.number)
        return [*session.scalars(by_number)] if keys else []

    def _held(self, session: Session, which: ColumnElement[bool]) -> list[tuple[int, str | None, bool]]:
        """Of each trial that somebody holds: its key, by whom, and whether that one has let it go."""
        expired = (Trial.expires_at < self._now(session)).label("expired")
        held = select(Trial.id, Trial.owner, expired).where(which, Trial.expires_at.is_not(None))
        return [(of, owner, is_expired or _is_dead(owner)) for of, owner, is_expired in session.execute(held)]

    def _now(self, session: Session, later: timedelta = timedelta(0)) -> clock.Time:
        return clock.now(session, later) if self._clock is None else self._clock() + later

    def _take(self, seen: Trial, state: TrialState, **values: Any) -> Claim | None:
        """Claim a trial if it still is as it was ``seen``."""
        with self._ledger.writing() as session:
            return self._take_in(session, seen, state, values)

    def _take_in(
        self, session: Session, seen: Trial, state: TrialState, values: Mapping[str, Any]
    ) -> Claim | None:
        owner = {"owner": self._worker.to_text(), "fence": seen.fence + 1, "state": state}
        record = trial_record(self._search, seen)
        fence, trial_id = seen.fence + 1, seen.id
        if not self._change(session, _unchanged(seen), is_leased=True, **owner, **values):
            return None
        note_change(session, trial_id, fence)
        # where somebody held it, that one was lost in measuring: who evaluated it is not known any more
        is_evaluators = state is TrialState.COMPLETE and seen.expires_at is None
        claim = Claim(record, trial_id, fence, state, seen.owner if is_evaluators else None)
        if state is RUNNING and not claim.is_first:
            claim = replace(claim, trial=replace(record, epochs_done=checkpoints.go_back(session, trial_id)))
        return claim

    def _write(self, session: Session, claim: Claim, **values: Any) -> None:
        if not self._change(session, held_by(claim), is_leased="expires_at" not in values, **values):
            raise self._stale(claim)
        note_change(session, claim.trial_id, claim.fence)

    def _stale(self, claim: Claim) -> StaleClaimError:
        number = claim.trial.number
        return StaleClaimError(f"trial {number} of '{self._search}' was taken over by another worker")

    def _change(self, session: Session, which: Fenced, *, is_leased: bool = False, **values: Any) -> int:
        """Change a trial so that every reader notices (``nas.ledger.history``); 0 where there is none."""
        values["revision"] = values.get("revision") or next_revision(session, self._search_id)
        return self._renewed(session, which, values) if is_leased else change(session, which, None, values)

    def _renewed(self, session: Session, which: Fenced, values: Mapping[str, Any]) -> int:
        """Change a trial, whose lease begins anew."""
        if self._clock is None and clock.is_the_servers(session):
            return change(session, which, self._lease, values)
        return change(session, which, None, {**values, "expires_at": self._now(session, self._lease)})


def _is_dead(owner: str | None) -> bool:
    return owner is not None and Worker.from_text(owner).is_known_dead()


def held_by(claim: Claim) -> Fenced:
    """The trial while ``claim`` is the last claim of it and has not been ended."""
    return Fenced(claim.trial_id, claim.fence, claim.state, is_held=True)


def _unmeasured(numbers: Collection[int]) -> ColumnElement[bool]:
    """Complete trials that were not timed whole, and that it is worth to try with."""
    return and_(
        Trial.number.in_(numbers),
        Trial.state == TrialState.COMPLETE,
        Trial.measured_latency_ms.is_(None),
        Trial.error.is_(None),
        Trial.doubt < Doubt.GIVEN_UP,
    )


def _unchanged(seen: Trial) -> Fenced:
    return Fenced(seen.id, seen.fence, seen.state)

"""What is written of a step: a trial that one command makes of others of its search, and no worker claims."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from nas.ledger import checkpoints
from nas.ledger.away import patient
from nas.ledger.claims import Claim, Claims, cost_columns
from nas.ledger.entries import Cost, EpochRecord
from nas.ledger.records import TrialState, config_from_dict
from nas.ledger.rows import find_trial, measured_columns, next_revision
from nas.ledger.tables import Epoch, Search, Trial
from nas.ledger.workers import Worker
from search_spaces.errors import BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    from latency import Measurement


@dataclass(frozen=True)
class Decision:
    """What a step is to be, before it is trained.

    Attributes:
        architecture: its JSON.
        digest: of that.
        cost: what it costs by prediction.
        measured: the time of the whole network.
        parents: the numbers of the trials that it comes from.
        budget: how many epochs it is trained, or was where it is not trained here.
        same_as: the trial of another search, as SEARCH/NUMBER, whose network it is.
    """

    architecture: str
    digest: str
    cost: Cost
    measured: "Measurement"
    parents: tuple[int, ...] = ()
    budget: int | None = None
    same_as: str | None = None


class StepClaims(Claims):
    """Claims the trials of a search one by one, by their numbers, and keeps a checkpoint of every epoch."""

    @patient
    def claim_step(self, number: int) -> Claim | None:
        """Claim a trial, which is added where it is missing; None where it is complete.

        One that was left goes on from its checkpoint. Nobody doubts it, however often it was left: a person
        has asked for it again.

        Raises:
            InvalidInput: it comes after the end of its search.
            BitnasError: another process has it, or it has failed.
        """
        self._add_missing(number)
        with self._ledger.reading() as session:
            seen = find_trial(session, self._search, number)
            held = self._held(session, Trial.id == seen.id)
        if seen.state is TrialState.COMPLETE:
            return None
        if seen.state.finished:
            told = f": trial {number} of '{self._search}' has {seen.state}: {seen.error}"
            raise BitnasError(Parameter("name"), f"{told}; choose another name")
        if not all(is_abandoned for *_, is_abandoned in held):
            raise self._busy(seen)
        begins = {} if seen.started_at else {"started_at": datetime.now(UTC)}
        if (claim := self._take(seen, TrialState.RUNNING, error=None, **begins)) is None:
            raise self._busy(seen)
        return claim

    def _add_missing(self, number: int) -> None:
        """Queue the trial of that number, which is the next, unless it is there."""
        with self._ledger.writing() as session:
            revision = next_revision(session, self._search_id)  # so that one at a time looks
            of_search = Trial.search_id == self._search_id
            there = session.scalar(select(func.count()).where(of_search)) or 0
            if number < there:
                return
            search = session.get_one(Search, self._search_id, populate_existing=True)
            if search.ended is not None:
                problem = f"'{self._search}' has ended: {search.ended}"
                raise InvalidInput("name", problem, "choose another name")
            search.config = replace(config_from_dict(search.config), trials=number + 1).to_dict()
            new = {"search_id": self._search_id, "state": TrialState.QUEUED, "revision": revision}
            session.execute(insert(Trial), [{**new, "number": n} for n in range(there, number + 1)])

    def _busy(self, seen: Trial) -> BitnasError:
        who = "" if seen.owner is None else f" ({Worker.from_text(seen.owner).label})"
        told = f": another process{who} is at trial {seen.number} of '{self._search}'"
        return BitnasError(Parameter("name"), f"{told}; wait for it, or stop it")

    @patient
    def decide(self, claim: Claim, decision: Decision, checkpoint: bytes | None) -> Claim:
        """Record what a step is to be, and the checkpoint that its training begins from, if it is trained.

        Returns:
            The claim of a trial that has a checkpoint.

        Raises:
            StaleClaimError: the trial is another's.
        """
        done = decision.budget if checkpoint is None else 0
        values: dict[str, Any] = {
            "architecture": decision.architecture,
            "digest": decision.digest,
            "parents": list(decision.parents) or None,
            "budget": decision.budget,
            "epochs_done": done,
            "same_as": decision.same_as,
            **cost_columns(decision.cost, claim.trial),
            **measured_columns(decision.measured),
        }
        with self._ledger.writing() as session:
            self._write(session, claim, **values)
            if checkpoint is not None:
                checkpoints.keep(session, claim.trial_id, 0, checkpoint)
        trial = replace(
            claim.trial, architecture=decision.architecture, digest=decision.digest, epochs_done=done
        )
        return replace(claim, trial=trial)

    @patient
    def record_step_epoch(self, claim: Claim, epoch: EpochRecord, checkpoint: bytes) -> None:
        """Record an epoch, and the checkpoint after it in place of the last one, in one transaction.

        Raises:
            StaleClaimError: the trial is another's.
        """
        with self._ledger.writing() as session:
            self._write(session, claim, epochs_done=epoch.epoch)
            _put(session, claim.trial_id, epoch)
            checkpoints.keep(session, claim.trial_id, epoch.epoch, checkpoint)


def _put(session: Session, trial_id: int, epoch: EpochRecord) -> None:
    """Write an epoch, in place of the same one of an answer that never came."""
    session.execute(delete(Epoch).where(Epoch.trial_id == trial_id, Epoch.epoch == epoch.epoch))
    session.execute(insert(Epoch), {"trial_id": trial_id, **epoch.to_dict()})

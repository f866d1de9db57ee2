"""Runs the steps of a command: each is decided once, trained with a checkpoint an epoch, and kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.ledger.changing import remove
from nas.ledger.checkpoints import tensors_of
from nas.ledger.entries import EpochRecord
from nas.ledger.leases import LEASE_S, Claim
from nas.ledger.records import TrialRecord, TrialState
from nas.ledger.roster import Roster
from nas.ledger.steps import Decision, StepClaims
from nas.ledger.store import Ledger
from nas.ledger.workers import Worker
from nas.measuring.machine_lock import MachineLock
from nas.steps.networks import BEFORE_TRAINING, Decided, Step, network_of
from nas.trials.failures import one_line
from nas.trials.heartbeat import Heartbeat
from nas.trials.job import Told
from nas.trials.presence import Presence
from search_spaces.architecture import read_architecture
from search_spaces.errors import (
    InfeasibleStepError,
    InvalidInput,
    NothingFitsError,
    StorageError,
    TrainingError,
)

if TYPE_CHECKING:
    from torch import nn

    from nas.data import DataSet
    from nas.training.loop import Epoch, Training

Decide = Callable[[], Decided]
"""Decides what a step is; called once, and again only where it was killed before that was recorded."""
Begin = Callable[["nn.Module"], "Training"]
"""Makes the training of a network; the same one each time, whatever weights the network has."""
OnEpoch = Callable[["Epoch", int], None]
"""Is told of an epoch, and of how many."""


@dataclass
class Steps:
    """The steps of one command, the trials of one search, by their numbers from 0.

    One process at a time is at a step. What is complete is read from the ledger, so that a network that comes
    from it is the same whether this process has trained it or an earlier one.

    Attributes:
        ledger: it is kept in.
        search: its name; ``nas.steps.beginning.begin`` has begun it.
        data: what is trained on and judged by.
        say: is told where a step goes on.
        lease_s: how long others wait for a process of another machine that has gone.
    """

    ledger: Ledger
    search: str
    data: "DataSet"
    say: Callable[[str], None] = lambda _: None
    lease_s: float = LEASE_S

    def __post_init__(self) -> None:
        self._lock = MachineLock.of_this_machine(lambda: None, self._tell_wait)
        self._worker = Worker.this_process()
        self._claims = StepClaims(self.ledger, self.search, self._worker, self.lease_s)

    def complete(self, number: int) -> TrialRecord | None:
        """The trial of a step that is complete; None of one that is not, or not there yet."""
        done = self.ledger.outlines(self.search, TrialState.COMPLETE)
        return next((trial for trial in done if trial.number == number), None)

    def run(
        self, number: int, decide: Decide, begin: Begin | None = None, on_epoch: OnEpoch = lambda *_: None
    ) -> Step:
        """A step, which is made where it is not complete.

        Args:
            number: of its trial; the one after the last is added.
            decide: what it is to be.
            begin: its training; None for a network that stays as it was decided.
            on_epoch: is told of each epoch that is trained here.

        Raises:
            BitnasError: another process is at it, or it has failed, or what ``decide`` and trainings raise.
                After InvalidInput or NothingFitsError of ``decide``, and a loss that is not finite, no step
                comes any more; a search in which none was trained is gone then.
            InfeasibleStepError: ``decide`` has raised it, now or before.
        """
        if (why := self._infeasible(number)) is not None:
            raise InfeasibleStepError(why)
        if (claim := self._claims.claim_step(number)) is not None:
            with self._present() as present, self._held(claim) as held:
                present.tell(Told(stage=""))  # it is at its trial
                if begin is None:
                    self._keep(claim, decide())
                else:
                    self._train(self._decided(claim, decide, begin), begin, on_epoch, held.check)
        return network_of(self.ledger, self.search, number)

    def _infeasible(self, number: int) -> str | None:
        """Why a step could not be made; None of one that could, or was not tried yet."""
        found = self.ledger.outlines(self.search, TrialState.INFEASIBLE)
        if all(trial.number != number for trial in found):
            return None
        return self.ledger.trial(self.search, number).error or ""

    def end(self, why: str) -> None:
        """No more steps come; those that were not begun are gone. ``why`` is kept with the search."""
        self._claims.end_search(why)

    def _present(self) -> Presence:
        """Have this process listed among the workers of the search."""
        roster = Roster(self.ledger, self.search)
        return Presence(roster, self._worker, lambda _: None, self.lease_s)

    @contextmanager
    def _held(self, claim: Claim) -> Iterator[Heartbeat]:
        """Keep a claim while its step is made; whatever ends that early gives the trial back."""
        heartbeat = Heartbeat(self._claims, claim, self.lease_s, lambda: None)
        heartbeat.start()
        try:
            yield heartbeat
        except TrainingError as error:  # the same weights and batches would come there again
            self._claims.finish(claim, TrialState.FAILED, error=one_line(error))
            self.end(f"trial {claim.trial.number} has failed")
            raise
        except InfeasibleStepError as error:
            self._claims.finish(claim, TrialState.INFEASIBLE, error=one_line(error))
            raise
        except (InvalidInput, NothingFitsError) as error:  # it would be refused again
            self._claims.release(claim, one_line(error))
            self._give_up(one_line(error))
            raise
        except BaseException as error:  # Ctrl-C, too
            why = one_line(error) if isinstance(error, Exception) else None
            with suppress(StorageError):  # then the lease runs out
                self._claims.release(claim, why)
            raise
        finally:
            heartbeat.end()

    def _give_up(self, why: str) -> None:
        """End a search that cannot go on; where nothing was trained in it, its name is free again."""
        if any(trial.parents for trial in self.ledger.trials(self.search) if trial.state.finished):
            self.end(why)
        else:
            remove(self.ledger, self.search)

    def _keep(self, claim: Claim, decided: Decided) -> None:
        """A network that is not trained here."""
        from nas.training.loop import save_weights

        claim = self._claims.decide(claim, _decision(decided), None)
        self._claims.finish(
            claim,
            TrialState.COMPLETE,
            accuracy=decided.accuracy,
            weights=save_weights(decided.module),
            predictions=decided.predictions,
        )

    def _decided(self, claim: Claim, decide: Decide, begin: Begin) -> Claim:
        """The claim of a step that is decided; its checkpoint says where the training begins, or goes on."""
        from nas.training.checkpoint import to_bytes

        number = claim.trial.number
        if tensors_of(self.ledger, self.search, number) is not None:
            self.say(f"trial {number}: going on after epoch {claim.trial.epochs_done}")
            return claim
        decided = decide()
        training = begin(decided.module)
        decision = replace(_decision(decided), budget=training.epochs)
        start = to_bytes(training, {BEFORE_TRAINING: decided.accuracy})
        return self._claims.decide(claim, decision, start)

    def _train(self, claim: Claim, begin: Begin, on_epoch: OnEpoch, check: Callable[[], None]) -> None:
        """Train from the checkpoint to the end: a training that was just begun goes the same way."""
        from nas.training.checkpoint import from_bytes, resume, to_bytes
        from nas.training.loop import judge, save_weights
        from nas.training.mistakes import counted
        from search_spaces.builder import build

        architecture = read_architecture(claim.trial.architecture or "")
        loaded = from_bytes(tensors_of(self.ledger, self.search, claim.trial.number) or b"")
        about = loaded.about["about"]
        training = begin(build(architecture))
        resume(training, loaded)
        for epoch in self._epochs(training, check):
            reported = about if epoch.epoch == 1 else {}
            record = EpochRecord(**epoch.to_dict(), reported=reported)
            self._claims.record_step_epoch(claim, record, to_bytes(training, about))
            on_epoch(epoch, training.epochs)
        module, split = training.module.to("cpu"), self.data.validation
        judged = training.predictions or judge(module, split)
        self._claims.finish(
            claim,
            TrialState.COMPLETE,
            accuracy=training.history[-1].accuracy or 0.0,
            weights=save_weights(module),
            predictions=counted(judged, split.labels, self.data.classes),
        )

    def _epochs(self, training: "Training", check: Callable[[], None]) -> "Iterator[Epoch]":
        """Train, but not while something is timed on this machine."""
        with self._lock.shared() as give_way:

            def on_batch() -> None:
                check()
                give_way()

            yield from training.run(on_batch)

    def _tell_wait(self, who: str) -> None:
        if who:
            self.say(f"waiting for another bitnas process on this machine ({who})")


def _decision(decided: Decided) -> Decision:
    """As the ledger records it."""
    return Decision(
        decided.architecture.to_json(),
        decided.architecture.digest,
        decided.cost,
        decided.measured,
        decided.parents,
        decided.epochs,
        decided.same_as,
    )

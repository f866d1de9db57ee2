"""Hands the trials of a search out to whoever evaluates them, and records what comes back: the driver's half.

It knows nothing of Ray. Each trial that is handed out goes by a key of whoever hands it on.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from latency.timing.fair_lock import Check
from nas.executors.ray.messages import Assignment, Message
from nas.ledger.claims import Claim
from nas.ledger.losses import MAX_UNKNOWN, THEN, Cause, Doubt
from nas.ledger.mistakes import Predictions
from nas.ledger.records import TrialState
from nas.ledger.workers import Worker
from nas.trials.evaluating import Outcome, Step
from nas.trials.failures import one_line
from nas.trials.heartbeat import Heartbeat
from nas.trials.job import Job, Told
from nas.trials.running import TrialRun
from nas.trials.stopping import next_claim
from nas.trials.trial import TrialRunner
from nas.trials.worker import NO_DEVICE, Tell, raise_if_not_the_trials
from search_spaces.errors import BitnasError, NoDeviceError, StaleClaimError

log = logging.getLogger(__name__)


@dataclass
class Handed:
    """A trial that is claimed, and with somebody once ``run`` is there.

    Attributes:
        node: of the cluster, where it was begun.
        worker: the process there.
    """

    claim: Claim
    heartbeat: Heartbeat
    run: TrialRun | None = None
    node: str | None = None
    worker: Worker | None = None

    @property
    def number(self) -> int:
        """Of the trial."""
        return self.claim.trial.number


class Handing:
    """Claims trials for at most so many at once, hands them out, and takes what is told of them.

    Threads: one makes all calls. Each method raises what ends the whole search: StoppedError where it is to
    stop, StorageError, BitnasError where nobody can work on it.
    """

    def __init__(self, runner: TrialRunner, job: Job, workers: int, check: Check, tell: Tell) -> None:
        self._runner, self._job, self._workers, self.check, self._tell = runner, job, workers, check, tell
        self._claims = runner.claims
        self._handed: dict[str, Handed] = {}
        self._not_before = 0.0
        self._lost_in_a_row = 0

    @property
    def is_over(self) -> bool:
        """Whether none is out, and no other will be handed out."""
        return not self._handed and self._is_last

    @property
    def _is_last(self) -> bool:
        return self._job.is_late or self._runner.ledger.search(self._job.search).finished

    def node_of(self, key: str) -> str | None:
        """Where a trial was begun, if it was."""
        handed = self._handed.get(key)
        return None if handed is None else handed.node

    def next(self, key: str) -> Assignment | None:
        """A trial that is to be evaluated, which goes by ``key`` from now on; None while there is none."""
        self.check()
        if len(self._handed) >= self._workers or time.monotonic() < self._not_before:
            return None
        while not self._job.is_late:
            claim = next_claim(self._claims, self._runner.stopping)
            if claim is None:
                break
            if assignment := self._begun(key, claim):
                return assignment
            if time.monotonic() < self._not_before:
                return None  # the device is away
        # Others are at the last trials, or these are out: one may be put back.
        self._not_before = time.monotonic() + self._job.poll_s
        return None

    def _begun(self, key: str, claim: Claim) -> Assignment | None:
        """Decide what a trial is to try; None where it ends with that."""
        heartbeat = Heartbeat(self._claims, claim, self._job.lease_s, self.check)
        heartbeat.start()
        self._handed[key] = handed = Handed(claim, heartbeat)
        with self._ending(key, handed):
            handed.run = self._runner.begin(claim, heartbeat.check)
            if handed.run is not None:
                return self._assignment(handed.run)
            self._drop(key)
        return None

    def _assignment(self, run: TrialRun) -> Assignment:
        choices, first = run.found.choices, run.evaluations[0]
        chosen = None if choices is None else dict(choices)
        seeds = tuple(each.seed for each in run.evaluations)
        architecture = run.found.candidate.to_json()
        return Assignment(chosen, architecture, first.budget, seeds, run.pauses, first.checkpoint)

    def hear(self, key: str, message: Message) -> bool:
        """Take what is told of a trial; whether it goes on."""
        handed = self._handed.get(key)
        if handed is None or handed.run is None:
            return False
        if message.kind == "unfit":
            raise BitnasError(f"ray: {message.fields['error']}")
        if message.kind == "exited":
            self.lose(key, Cause.OWN, message.fields["how"])
            return False
        with self._ending(key, handed):
            handed.heartbeat.check()
            if self._goes_on(handed, handed.run, message):
                return True
            self._runner.tell(handed.claim)
            self._drop(key)
            self._lost_in_a_row = 0
            self._not_before = 0.0  # what comes next may depend on it
        return False

    def _goes_on(self, handed: Handed, run: TrialRun, message: Message) -> bool:
        fields, tensors = message.fields, message.tensors
        if message.kind == "begun":
            handed.node = str(fields["node"])
            handed.worker = Worker(fields["host"], "", fields["pid"], 0)
        elif message.kind == "step":
            step = Step(fields["number"], fields["values"], fields["seconds"], lambda: tensors or b"")
            if halt := run.on_step(step):
                run.take(Outcome(halt=halt, kept=step.keep() if halt.is_pause else b""))
        elif message.kind == "ended":
            told = fields["predictions"]
            found = None if told is None else Predictions.from_dict(told)
            run.take(Outcome(fields["values"], tensors, found))
        else:
            self._claims.finish(handed.claim, TrialState.FAILED, error=fields["error"])
            return False
        return run.evaluation is not None

    def lose(self, key: str, cause: Cause, how: str) -> None:
        """A trial was lost with the process that evaluated it: put it back, or give it up."""
        if (handed := self._handed.get(key)) is None:
            return
        self._drop(key)
        self._not_before = 0.0
        doubt = Doubt.NONE
        if handed.worker is None:
            self._claims.release(handed.claim)
        else:
            doubt = self._claims.lose_claimed(handed.claim, handed.worker, cause, how)
        self._tell(Told(notice=f"trial {handed.number}: its worker died ({how}); {THEN[doubt]}"))
        self._lost_in_a_row += cause is not Cause.OUTSIDE
        if self._lost_in_a_row > MAX_UNKNOWN + self._workers:
            raise BitnasError(f"ray: its workers die without a result ({how})")

    def put_back(self) -> None:
        """Let go of every trial that is out."""
        for key, handed in list(self._handed.items()):
            self._drop(key)
            self._claims.release(handed.claim)

    @contextmanager
    def _ending(self, key: str, handed: Handed) -> Iterator[None]:
        """Ends a trial by what goes wrong with it, as far as that is the trial's fault."""
        try:
            with self._failing(handed):
                yield
                return
        except StaleClaimError:
            log.debug("trial %d is another's now", handed.number, exc_info=True)
        self._drop(key)

    @contextmanager
    def _failing(self, handed: Handed) -> Iterator[None]:
        """Records what goes wrong with a trial; what is none of its fault passes."""
        try:
            yield
        except NoDeviceError as error:
            log.debug("trial %d waits for the device", handed.number, exc_info=True)
            self._claims.release(handed.claim, why=f"{NO_DEVICE}: {one_line(error)}")
            self._not_before = time.monotonic() + self._job.device_pause_s
            self._tell(Told(stage="waiting for the device"))
        except (Exception, SystemExit) as error:
            raise_if_not_the_trials(error)
            log.debug("trial %d failed", handed.number, exc_info=True)
            self._claims.finish(handed.claim, TrialState.FAILED, error=one_line(error))

    def _drop(self, key: str) -> None:
        """The trial is no longer out."""
        self._handed.pop(key).heartbeat.end()

"""A worker: a process that claims trials and runs them until a search is finished, then times the front."""

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from latency.timing.fair_lock import Check
from nas.ledger.away import Patience
from nas.ledger.claims import Claim, Claims
from nas.ledger.records import ALL, PREDICT, TrialState
from nas.ledger.roster import FOR_OTHERS, Roster
from nas.ledger.store import Ledger
from nas.ledger.workers import Worker
from nas.measuring.bench import Bench, Progress
from nas.measuring.elsewhere import ElsewhereBench
from nas.measuring.front_todo import next_of_front
from nas.measuring.machine_lock import MachineLock
from nas.objectives import objective
from nas.trials.costing import latency_of
from nas.trials.failures import one_line
from nas.trials.heartbeat import Heartbeat, StoppedError
from nas.trials.job import Job, Told
from nas.trials.medians import awaited_costs, median_cost
from nas.trials.presence import Presence
from nas.trials.setup import make_runner
from nas.trials.stopping import next_claim
from nas.trials.threads import one_thread
from nas.trials.trial import TrialRunner
from nas.versions import versions
from runtime.light_tvm import without_backends
from search_spaces.errors import BitnasError, MeasurementError, NoDeviceError, StaleClaimError, StorageError

log = logging.getLogger(__name__)

NO_DEVICE = "no_device"  # begins the error of a queued trial that waits for its device


Tell = Callable[[Told], None]
RunTrials = Callable[[TrialRunner, Job, "Stop", Check, Tell], None]
"""Runs trials until every trial of the search has ended, or it is too late to begin one."""


class Stop(Protocol):
    """When to stop: a ``threading.Event``, or what answers like one."""

    def is_set(self) -> bool:
        """Whether to stop."""

    def wait(self, timeout: float) -> object:
        """Wait so many seconds, less where it is set meanwhile."""


def prepare_process(verbose: bool = False) -> None:
    """Make this process one that does nothing but work: its threads, its log, what it loads of TVM."""
    without_backends()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    if os.environ.get("NAS_DEBUG", "0") not in ("", "0"):
        logging.getLogger("nas").setLevel(logging.DEBUG)
    elif verbose:
        logging.getLogger("nas").setLevel(logging.INFO)
    one_thread()  # Workers share the machine, and idle threads spin while another measures.


def _tell_nobody(_told: Told) -> None:
    pass


def run(job: Job, stop: Stop, tell: Tell = _tell_nobody, run_trials: RunTrials | None = None) -> bool:
    """The whole life of a worker, in any thread of any process: what an executor calls.

    ``run_trials`` is what it runs trials by, if not by itself, one after the other.

    Returns:
        Whether nothing is left to do; else it was stopped, or could not work, which it has told.
    """
    try:
        work(job, stop, tell, run_trials)
    except StoppedError:
        return False
    except BitnasError as error:
        log.debug("the worker ends", exc_info=True)
        tell(Told(error=one_line(error)))
        return False
    return True


def work(job: Job, stop: Stop, tell: Tell = _tell_nobody, run_trials: RunTrials | None = None) -> None:
    """Run trials until none of the search is left, and time the members of its front.

    Raises:
        StoppedError: ``stop`` was set; a trial that was begun is queued again.
        StorageError: the database cannot be used any more, or has not answered for too long.
    """

    def check() -> None:
        if stop.is_set():
            raise StoppedError

    worker = Worker.this_process()
    patience = Patience(log.info, check)  # who runs the search tells of it
    with (
        Ledger.open(job.storage, patience=patience) as ledger,
        Presence(Roster(ledger, job.search), worker, tell, job.lease_s) as presence,
    ):
        tell = presence.tell
        claims = Claims(ledger, job.search, worker, job.lease_s)
        lock = MachineLock.of_this_machine(check, lambda who: presence.tell(Told(stage=_waiting(who))))
        runner = make_runner(job, ledger, claims, lock)
        for remark in [
            *ledger.search(job.search).told_versions(versions()),
            *(b.remark for b in _elsewhere(runner)),
        ]:
            tell(Told(remark=remark))
        try:
            _profile(runner, job, check, tell)
            gc.freeze()  # what was imported stays: to look through it each time takes a seventh of a second
            (run_trials or one_by_one)(runner, job, stop, check, tell)
            _finish_front(runner, job, check, tell)
        finally:
            pace = runner.costing.pace
            tell(
                Told(
                    drifts=[drift for bench in runner.costing.benches.values() for drift in bench.drifts()],
                    training_s=pace.trained_s,
                    measuring_s=pace.all_measuring_s,
                )
            )


def _waiting(who: str) -> str:
    """The stage of waiting for another process that trains or measures; of none when the wait is over."""
    return f"{FOR_OTHERS} on this machine ({who})" if who else ""


def _elsewhere(runner: TrialRunner) -> list[ElsewhereBench]:
    """The benches of devices that are other machines than this one."""
    return [bench for bench in runner.costing.benches.values() if isinstance(bench, ElsewhereBench)]


def one_by_one(runner: TrialRunner, job: Job, stop: Stop, check: Check, tell: Tell) -> None:
    """Claim trials and run them until every trial of the search has ended, or it is too late to begin one."""
    while not job.is_late and not runner.ledger.search(job.search).finished:
        check()
        tell(Told(stage=""))
        claim = next_claim(runner.claims, runner.stopping)
        if claim is None:
            # Others are at the last trials; should one of them die, its trial is claimed here.
            stop.wait(job.poll_s)
        else:
            _run_trial(runner, claim, job, check, tell)


def _profile(runner: TrialRunner, job: Job, check: Check, tell: Tell) -> None:
    """Have the device profiled well enough for estimates, and a relative limit in milliseconds."""

    def progress(done: int, of: int) -> None:
        check()
        tell(Told(stage="profiling the device", done=done, of=of))

    for name in awaited_costs(runner.config):
        check()
        tell(Told(stage=f"finding the median {objective(name).title}"))
        median = median_cost(name, runner.space, runner.evaluator)
        runner.use(runner.ledger.record_median(job.search, name, median))
    if not runner.costing.benches or (runner.config.measure == ALL and not runner.config.awaited):
        return
    import sklearn.gaussian_process  # noqa: F401 - a second, which is a start's, not a measurement's

    started = time.monotonic()
    for device, bench in runner.costing.benches.items():
        _profile_one(latency_of(device, runner.config), bench, runner, job, check, progress, tell)
    runner.costing.pace.add_first(time.monotonic() - started)


def _profile_one(
    name: str, bench: Bench, runner: TrialRunner, job: Job, check: Check, progress: Progress, tell: Tell
) -> None:
    """Of the device that the objective called ``name`` is about."""
    while True:
        awaits_limit = name in runner.config.awaited
        try:
            bench.profile(runner.space, progress)
            if awaits_limit:
                runner.use(runner.ledger.record_median(job.search, name, bench.median(runner.space)))
            return
        except NoDeviceError:
            log.debug("the device is not profiled yet", exc_info=True)
            tell(Told(stage="waiting for the device"))
            _wait_for_device(job, check)
            runner.use(runner.ledger.search(job.search).config)  # others may know the limit by now
        except MeasurementError:
            if awaits_limit:
                raise
            log.debug("the device is profiled in part", exc_info=True)  # who needs the rest will tell
            return


def _finish_front(runner: TrialRunner, job: Job, check: Check, tell: Tell) -> None:
    """Measure the kernels of what may be on the front, then each of its members whole."""
    given_up: set[int] = set()  # whoever tries these dies
    while todo := next_of_front(runner.ledger, job.search, runner.history, given_up):
        check()
        claim = runner.claims.claim_measuring(todo.numbers)
        if claim is None:
            if not runner.claims.are_measured(todo.numbers):
                given_up |= set(todo.numbers)
                continue
            time.sleep(job.poll_s)
            continue
        tell(Told(stage=todo.stage, done=todo.done, of=todo.done + len(todo.numbers)))
        job_of_front = runner.settle if todo.is_of_kernels else runner.measure
        if _measure(runner, claim, job, check, job_of_front):
            continue
        if runner.config.when_away == PREDICT or _elsewhere(runner):
            return  # the front is measured when the device is back, or by workers of its machine
        tell(Told(stage="waiting for the device"))
        _wait_for_device(job, check)


def _run_trial(runner: TrialRunner, claim: Claim, job: Job, check: Check, tell: Tell) -> None:
    is_device_away = False
    with _kept(runner.claims, claim, job.lease_s, check) as kept:
        try:
            runner.run(claim, kept.check)
        except NoDeviceError as error:
            log.debug("trial %d waits for the device", claim.trial.number, exc_info=True)
            runner.claims.release(claim, why=f"{NO_DEVICE}: {one_line(error)}")
            is_device_away = True
        except (Exception, SystemExit) as error:  # an evaluator of the user's may call sys.exit
            raise_if_not_the_trials(error)
            log.debug("trial %d failed", claim.trial.number, exc_info=True)
            runner.claims.finish(claim, TrialState.FAILED, error=one_line(error))
    if is_device_away:
        tell(Told(stage="waiting for the device"))
        _wait_for_device(job, check)


def _measure(
    runner: TrialRunner, claim: Claim, job: Job, check: Check, measure: Callable[[Claim], None]
) -> bool:
    """Measure a trial that is or may be on the front; False where its device is away."""
    with _kept(runner.claims, claim, job.lease_s, check):
        try:
            measure(claim)
        except NoDeviceError:
            log.debug("measuring trial %d waits for the device", claim.trial.number, exc_info=True)
            runner.claims.release(claim)
            return False
        except Exception as error:
            raise_if_not_the_trials(error)
            log.debug("measuring trial %d failed", claim.trial.number, exc_info=True)
            problem = f"its whole network could not be measured: {one_line(error)}"
            runner.claims.record_measured(claim, error=problem)
    return True


def _wait_for_device(job: Job, check: Check) -> None:
    """Leave a device that does not answer time to come back, ready to stop meanwhile."""
    until = time.monotonic() + job.device_pause_s
    while time.monotonic() < until:
        check()
        time.sleep(job.poll_s)


def raise_if_not_the_trials(error: Exception | SystemExit) -> None:
    """Let pass what says nothing about the trial that was running."""
    if isinstance(error, StoppedError | StaleClaimError | StorageError):
        raise error


@contextmanager
def _kept(claims: Claims, claim: Claim, lease_s: float, check: Check) -> Iterator[Heartbeat]:
    """Keep a claim's lease; drop a trial that was lost, release one that is left when told to stop."""
    heartbeat = Heartbeat(claims, claim, lease_s, check)
    heartbeat.start()
    try:
        yield heartbeat
    except StaleClaimError:
        log.debug("trial %d is another's now", claim.trial.number, exc_info=True)
    except StoppedError:
        claims.release(claim)
        raise
    finally:
        heartbeat.end()

"""Ray Tune as a search uses it: a searcher and a scheduler that ask the ledger, and nothing that is printed.

Each time that a trial is claimed it is a new trial for Tune, also one that was paused: the ledger keeps its
checkpoint, and any executor may go on with it.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ray import tune
from ray.exceptions import RayActorError
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from nas.executors.ray.cluster import is_gone
from nas.executors.ray.handing import Handing
from nas.executors.ray.messages import Assignment, Message, Shipment
from nas.executors.ray.settings import RaySettings
from nas.executors.ray.trainable import run_trial
from nas.ledger.losses import Cause
from nas.trials.failures import one_line

log = logging.getLogger(__name__)
T = TypeVar("T")


class LeaveError(BaseException):
    """Leaves Tune at once; as no ``Exception``, so that it neither handles it nor waits for its actors."""


def tune_trials(handing: Handing, shipment: Shipment, settings: RaySettings, folder: Path) -> None:
    """Run trials on the cluster until no more are handed out; ``folder`` is for what Tune writes.

    Raises:
        StoppedError: the search is to stop.
        BitnasError: it cannot go on.
    """
    bridge = Bridge(handing)
    resources = {name.lower(): value for name, value in settings.resources.items()}
    trainable = tune.with_resources(tune.with_parameters(run_trial, shipment=shipment), resources)
    try:
        tune.run(
            trainable,
            search_alg=AskingSearcher(bridge),
            scheduler=DecidingScheduler(bridge),
            callbacks=[Watch(bridge)],
            num_samples=-1,
            verbose=0,
            reuse_actors=True,
            storage_path=str(folder),
            name="tune",
            raise_on_failed_trial=False,
        )
    except LeaveError as error:
        raise error.args[0] from None


class Bridge:
    """What the searcher, the scheduler and the callback of a run share."""

    def __init__(self, handing: Handing) -> None:
        self.handing = handing
        self.assignments: dict[str, Assignment] = {}
        self.problem: BaseException | None = None

    def safely(self, call: Callable[[], T], otherwise: T) -> T:
        """What a call gives; Tune would hide what it raises, which ends the search at its next step."""
        if self.problem is not None:
            return otherwise
        try:
            return call()
        except BaseException as error:
            self.problem = error
            return otherwise

    def leave(self) -> None:
        """End the search if something is wrong; where Tune lets through what is raised."""
        if self.problem is not None:
            raise LeaveError(self.problem)


class AskingSearcher(Searcher):
    """Gives Tune what is handed out, and ends it when that is all."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A trial, named by its key alone; None while there is none."""
        bridge = self._bridge
        assignment = bridge.safely(lambda: bridge.handing.next(trial_id), None)
        is_over = assignment is None and bridge.safely(lambda: bridge.handing.is_over, False)
        bridge.leave()
        if assignment is None:
            return Searcher.FINISHED if is_over else None
        bridge.assignments[trial_id] = assignment
        return {"key": trial_id}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The scheduler knows."""

    def save(self, checkpoint_path: str) -> None:
        """The ledger is what a search goes on from."""

    def restore(self, checkpoint_path: str) -> None:
        """Likewise."""


class DecidingScheduler(FIFOScheduler):
    """Passes on what trials tell, and stops those that the search stops."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._added: Trial | None = None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Give Tune's trial its assignment: here, as Tune writes what a searcher suggests into names."""
        self._added = trial
        trial.config["assignment"] = dict(vars(self._bridge.assignments.pop(trial.trial_id)))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record it, and decide."""
        message = Message.of_report(result)
        goes_on = self._bridge.safely(lambda: self._bridge.handing.hear(trial.trial_id, message), False)
        if goes_on:
            return str(TrialScheduler.CONTINUE)
        trial.config.pop("assignment", None)  # which may hold a checkpoint
        return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Its process is gone, or its node."""
        error = trial.get_pickled_error()
        log.debug("trial %s was lost", trial.trial_id, exc_info=error)
        trial.config.pop("assignment", None)
        self._bridge.safely(lambda: self._lose(trial.trial_id, error), None)

    def _lose(self, key: str, error: Exception | None) -> None:
        node = self._bridge.handing.node_of(key)
        is_nodes_fault = node is not None and is_gone(node)
        cause, how = (Cause.OUTSIDE, "its node was lost") if is_nodes_fault else blamed(error)
        self._bridge.handing.lose(key, cause, how)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The one that was added last, so that it gets the process that is free.

        Tune would give that to one that waits for a process of its own, and end the one that starts: where
        trials are short, there would never be a second process.
        """
        found, self._added = self._added, None
        return found if found is not None and found.status == Trial.PENDING else None


class Watch(Callback):
    """Looks at each turn of Tune's loop whether the search is to stop, and has Tune keep no tensors."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Leave if need be."""
        self._bridge.safely(self._bridge.handing.check, None)
        self._bridge.leave()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep nothing but text of the last result."""
        result["tensors"] = None


def blamed(error: Exception | None) -> tuple[Cause, str]:
    """Who is to blame that a process was lost, and how that went: Ray tells either by its words alone."""
    if error is not None and not isinstance(error, RayActorError):
        return Cause.UNKNOWN, one_line(error)[:200]
    told = str(error)
    if "SIGTERM" in told:
        return Cause.OUTSIDE, "killed by SIGTERM"
    if "running low on memory" in told:
        return Cause.OWN, "out of memory"
    return Cause.UNKNOWN, "killed, or crashed"

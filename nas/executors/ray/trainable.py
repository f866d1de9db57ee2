"""What runs on the nodes of a cluster: evaluates one trial after the other, and tells the driver by Tune.

A process serves many trials, so that torch is imported once; it knows neither the ledger nor a device.
"""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from nas.evaluators.base import Evaluator, PrunedError, Task, evaluators
from nas.executors.ray.exits import ExitedError, caught_exits
from nas.executors.ray.messages import Assignment, Message, Shipment
from nas.measuring.machine_lock import MachineLock
from nas.trials.evaluating import Evaluation, Halt, Step, evaluate
from nas.trials.failures import one_line
from nas.trials.proposing import candidate_of
from nas.trials.worker import prepare_process
from runtime.folders import cache_folder
from search_spaces.plugins import VARIABLE
from search_spaces.search_space import SearchSpace

# A trial that was stopped may take its time to clean up; until then its process is not given another.
os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "86400")


@dataclass(frozen=True)
class Workplace:
    """What a process makes once of what it was sent."""

    space: SearchSpace
    evaluator: Evaluator


class UnfitError(Exception):
    """This node cannot work on the search; the message says why."""


def run_trial(config: dict[str, Any], shipment: Shipment) -> None:
    """Evaluate the trial that Tune hands over: a function trainable."""
    talk = Talk()
    with suppress(PrunedError):  # what the last of what is told ends with
        talk.tell(Message("begun", _where()))
        talk.tell(_failure(config, shipment, talk))
    raise SystemExit(0)  # as Tune ends a function that was told to stop: it reports nothing more


def _failure(config: dict[str, Any], shipment: Shipment, talk: "Talk") -> Message:
    """Evaluate, which is left by PrunedError once the search has all that it wants; else what went wrong."""
    try:
        workplace = _workplace(_Keyed(shipment.key, shipment))
        with caught_exits():
            _evaluate_all(Assignment(**config["assignment"]), workplace, talk)
        raise AssertionError("the driver ends a trial with its last evaluation")
    except UnfitError as error:
        return Message("unfit", {"error": f"node {socket.gethostname()}: {error}"})
    except ExitedError as error:
        return Message("exited", {"how": str(error)})
    except (Exception, SystemExit) as error:  # an evaluator of the user's may call sys.exit
        return Message("failed", {"error": one_line(error)})


class Talk:
    """Tells the driver, which answers by letting the trial go on, or by ending it.

    Attributes:
        is_over: whether the driver wants to hear no more of the trial.
    """

    def __init__(self) -> None:
        self.is_over = False

    def tell(self, message: Message) -> None:
        """Tell, and wait for the answer; PrunedError where the trial is over."""
        from ray import tune

        if self.is_over:
            raise PrunedError("the search has ended this evaluation")
        try:
            tune.report(message.to_report())
        except SystemExit:
            self.is_over = True
            raise PrunedError("the search has ended or paused this evaluation") from None


def _evaluate_all(assignment: Assignment, workplace: Workplace, talk: Talk) -> None:
    candidate = candidate_of(workplace.space, assignment.choices, assignment.architecture)
    lock = MachineLock.of_this_machine(lambda: None)
    for index, seed in enumerate(assignment.seeds):
        kept = assignment.checkpoint if index == 0 else None
        evaluation = Evaluation(candidate, assignment.budget, seed, kept)
        pauses = assignment.pauses if index == 0 else ()
        _evaluate(evaluation, workplace.evaluator, lock, talk, pauses)


def _evaluate(
    evaluation: Evaluation, evaluator: Evaluator, lock: MachineLock, talk: Talk, pauses: tuple[int, ...]
) -> None:
    """Give way to measurements on this machine meanwhile, and while the driver decides, which may measure."""

    def on_step(step: Step) -> Halt | None:
        kept = step.keep() if step.number in pauses else None
        fields = {"number": step.number, "values": step.values, "seconds": step.seconds}
        with lock.apart():
            talk.tell(Message("step", fields, kept))
        return None

    with lock.shared() as give_way:
        outcome = evaluate(evaluator, evaluation, on_step, give_way)
    if talk.is_over:  # the evaluator has gone on, though it was told to stop
        raise PrunedError("the search has ended or paused this evaluation")
    found = None if outcome.predictions is None else outcome.predictions.to_dict()
    talk.tell(Message("ended", {"values": outcome.values, "predictions": found}, outcome.weights))


def _where() -> dict[str, Any]:
    """Which process of which node this is."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return {"host": socket.gethostname(), "pid": os.getpid(), "node": node}


class _Keyed:
    """A shipment that is known by its key."""

    def __init__(self, key: str, shipment: Shipment) -> None:
        self.key, self.shipment = key, shipment

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and other.key == self.key


@lru_cache(maxsize=1)
def _workplace(sent: _Keyed) -> Workplace:
    """Prepare this process, once for each search."""
    _use_what_ray_gives()
    shipment = sent.shipment
    _check_version(shipment.version)
    try:
        _add_plugins(shipment.plugins)
        prepare_process()
        from nas.trials.setup import space_of

        config, data = shipment.config, shipment.data
        evaluator = evaluators.get(config.evaluator)(Task(config, data))
        return Workplace(space_of(config, data), evaluator)
    except Exception as error:  # of a plug-in file, or of what it imports, which may not be there
        raise UnfitError(f"{_named(one_line(error), shipment.plugins)}; {_IMPORTS}") from error


_IMPORTS = "what plug-ins import must be installed on every node"


def _use_what_ray_gives() -> None:
    """Hide GPUs that were not asked for: Ray names those that were to CUDA, and leaves the others visible."""
    import ray

    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _check_version(drivers: str) -> None:
    import nas

    if nas.__version__ != drivers:
        fix = "install the same on all nodes"
        raise UnfitError(f"it has bitnas {nas.__version__}, and the search {drivers}; {fix}")


def _add_plugins(files: tuple[tuple[str, str], ...]) -> None:
    """Write the plug-in files, where they are not yet, and have the registries read them."""
    paths = [_written(name, text) for name, text in files]
    os.environ[VARIABLE] = os.pathsep.join(map(str, paths))


def _named(told: str, files: tuple[tuple[str, str], ...]) -> str:
    """With plug-in files by their names, as here they lie where nobody has put them."""
    for name, text in files:
        told = told.replace(str(_place(name, text)), name)
    return told


def _place(name: str, text: str) -> Path:
    return cache_folder() / "plugins" / sha256(text.encode()).hexdigest()[:16] / name


def _written(name: str, text: str) -> Path:
    path = _place(name, text)
    if not path.is_file():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f"{name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    return path

"""What an executor is: something that has workers work on a search, and tells what became of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.ledger.losses import Cause
from nas.trials.job import Job, Told
from search_spaces.errors import InvalidInput, Parameter
from search_spaces.registry import Registry


@dataclass(frozen=True)
class Ended:
    """A worker has ended.

    Attributes:
        is_done: whether it ended as nothing is left for it to do, which ``nas.trials.worker.run`` has
            returned; else it was stopped, failed, was killed or was lost.
        how: in words, how it ended, such as ``exit code 1`` or ``killed by SIGSEGV``.
        pid: of its process on this machine, where that is known; it tells which trial the worker was at.
        cause: who is to blame where it did not end as done: the trial's own doing (``Cause.OWN``: a crash, an
            exit, out of memory), or what came from outside, such as a node that went away or that the cluster
            took back. An executor that cannot tell leaves it unknown. What follows from it is for
            ``nas.ledger.losses`` to say; ``nas.executors.endings`` reads an exit code.
    """

    is_done: bool
    how: str = ""
    pid: int | None = None
    cause: Cause = Cause.UNKNOWN


Event = Told | Ended
"""What ``Executor.poll`` gives."""


class Executor(ABC):
    """Runs the workers of one search somewhere: on this machine, on a cluster.

    A worker is ``nas.trials.worker.run(job, stop, tell)``, called anywhere that reaches the ledger, where it
    claims one trial after the other until none is left. It writes results to the ledger itself: the job goes
    to the executor's workers, and what they tell (each ``Told`` that ``tell`` is called with) comes back.
    Where trials run does not reach the ledger, one worker of this machine, a driver, passes ``run`` a
    ``run_trials`` that hands them out and takes back what they find, as that of ``ray`` does. ``run`` returns
    whether nothing is left to do: this value becomes ``Ended.is_done``. A search ends only once a worker has
    ended as done.

    A process that is made for a worker calls ``nas.trials.worker.prepare_process(job.verbose)`` before
    ``run``: it sets one thread for torch, the log, and which parts of TVM are loaded. A process that does
    other things as well does not. What an evaluator prints must not come out on the stdout of the process
    that runs the search, where results are: a process that inherits it sends what is printed to stderr.

    Plug-in files reach a worker by the environment variable ``NAS_PLUGINS``, their absolute paths with ``:``
    between them, which are read once a registry is asked for something. A process that is started here
    inherits it, and can import what such a file defines, the executor's own functions too. For one that is
    started elsewhere, the executor copies the files there and sets the variable.

    A process that is started on this machine had better end with the one that started it, also where that is
    killed: ``runtime.parent.end_with``, called first of all in it, sees to that.

    Two workers must not share a process: a trial traces models, for which torch.fx replaces functions of
    torch in all threads.

    Order of calls: ``start`` once, then ``poll`` and ``capacity`` in turn, ``stop`` last, also after an error
    or a Ctrl-C in any of them and where ``start`` was never called. An executor serves one search and is then
    thrown away.

    Threads: one thread makes all calls. Ctrl-C may interrupt each of them.

    Owner: whatever ``start`` and ``poll`` bring to life belongs to the executor, and is gone when ``stop``
    returns. A worker that dies or fails is replaced by the executor, in ``poll``, and told of by ``Ended``;
    whoever called gives up by ``stop`` when too many do. One that is done is not replaced.
    ``examples/executor.py`` is a whole one, and ``nas.testing.executors`` checks one.

    Settings: what only such an executor needs to know, such as a cluster's address, is passed as keywords to
    what makes it, which names them in its attribute ``settings``. They are those of ``nas search``.

    Errors: ``start`` and ``poll`` raise ``BitnasError`` when the place where trials run cannot be used. What
    happens to a worker is no error but an event.
    """

    settings: tuple[str, ...] = ()

    def check(self) -> None:  # noqa: B027 - most have nothing to look at
        """Called, if at all, before ``start``, and before a search is written: whether it could run here.

        Raises:
            BitnasError: it could not; the message says what to do.
        """

    @abstractmethod
    def start(self, job: Job, workers: int) -> None:
        """Begin to have ``job`` worked on, by at most so many workers at once; does not wait for them."""

    @abstractmethod
    def capacity(self) -> int:
        """How many trials can run at once now: the workers that are at work or being started.

        It may change at any time as machines join and leave. It is 0 once all workers are done; it is also 0
        while there is no machine to run one, which does not end a search.
        """

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Event]:
        """What has happened since the last call, oldest first; waits for it at most ``timeout_s``.

        What a worker told comes before its ``Ended``.
        """

    @abstractmethod
    def stop(self) -> None:
        """Tell all workers to put their trials back and end, and end those that do not. May be repeated."""


HOMES = "nas.executors.local", "nas.executors.ray.executor"
executors: Registry[Callable[..., Executor]] = Registry("executor", "executors", HOMES)
"""By name, what makes an executor."""

LOCAL = "local"
SETTINGS = "ray_address", "cpus_per_trial", "gpus_per_trial"
"""All settings of executors that a search may be given; each goes to an executor that has it."""


def settings_among(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What of some arguments is for the executor."""
    return {name: arguments[name] for name in SETTINGS if arguments.get(name) is not None}


def executor(name: str, settings: Mapping[str, Any]) -> Executor:
    """The executor of a name, with its settings.

    Raises:
        InvalidInput: there is no such executor, it has no such setting, or one breaks its rule.
    """
    make = executors.get(name)
    for setting in settings:
        if setting not in getattr(make, "settings", ()):
            fix = "leave it out, or give ", Parameter("executor"), " one that has it, such as ray"
            raise InvalidInput(setting, f"executor '{name}' has no such setting", fix)
    return make(**settings)

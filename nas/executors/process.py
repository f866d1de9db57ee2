"""The life of a worker process of the executor ``local``, which starts it with two numbers and its job."""

import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType

from latency.timing.fair_lock import Check
from nas.executors.endings import COULD_NOT_WORK
from nas.trials.job import Job, Told
from nas.trials.trial import TrialRunner
from nas.trials.worker import RunTrials, Tell, one_by_one, prepare_process, run
from nas.trials.worker import Stop as Asked


class Stop(threading.Event):
    """Set by SIGTERM, and by the end of the process that started this one.

    Attributes:
        is_starting: whether no trial can have been claimed yet, so that nothing is to be put back.
    """

    def __init__(self, parent: int) -> None:
        super().__init__()
        self._parent = parent
        self.is_starting = True

    def is_set(self) -> bool:
        """Whether to stop."""
        return super().is_set() or os.getppid() != self._parent


def main(run_trials: RunTrials | None = None) -> None:
    """Work on the job that comes by stdin, with the pipe and the parent that the command line names.

    ``run_trials`` is what runs its trials, if not this process. It ends with code 0 when the search is
    finished, and with ``COULD_NOT_WORK`` when it was told to stop or has told what kept it from working. Any
    other end is one that it did not come to by itself.
    """
    pipe, stop = Connection(int(sys.argv[1]), readable=False), Stop(int(sys.argv[2]))

    def on_term(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        if stop.is_starting:
            stop.is_starting = False
            raise KeyboardInterrupt  # leaves imports and profiling, which ask nobody whether to stop

    def begin(runner: TrialRunner, job: Job, _stop: Asked, check: Check, tell: Tell) -> None:
        stop.is_starting = False
        (run_trials or one_by_one)(runner, job, stop, check, tell)

    def tell(told: Told) -> None:
        with suppress(BrokenPipeError):  # who started it is gone, which ends it soon
            pipe.send_bytes(told.to_json().encode())

    # Ctrl-C reaches every process of a terminal; the parent alone decides and says so by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _print_to_stderr()
    signal.signal(signal.SIGTERM, on_term)
    try:
        job = Job.from_json(sys.stdin.read())
        prepare_process(job.verbose)
        is_done = run(job, stop, tell, begin)
    except KeyboardInterrupt:
        is_done = False
    sys.exit(0 if is_done else COULD_NOT_WORK)


def _print_to_stderr() -> None:
    """What an evaluator prints, in Python or in C, is none of the results that a command has on stdout."""
    if sys.stdout is not None and sys.stderr is not None:  # else another file may have their numbers
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text file

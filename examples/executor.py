"""An executor of your own: nas --plugin examples/executor.py search --executor spawn ...

Its workers are processes that multiprocessing spawns, as the built-in ones nearly are; yours may be jobs of a
cluster.
"""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event as Flag

from nas.executors.base import Ended, Event, Executor, executors
from nas.executors.endings import ending
from nas.trials.job import Job
from nas.trials.worker import prepare_process, run

SPAWN = multiprocessing.get_context("spawn")


def work(job: Job, stop: Flag, pipe: Connection) -> None:
    """The life of a worker, in its own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it, too; the executor alone decides
    os.dup2(2, 1)  # what an evaluator prints is none of the results on stdout
    prepare_process(job.verbose)
    is_done = run(job, stop, pipe.send)
    pipe.send(Ended(is_done))


class SpawnExecutor(Executor):
    """Processes, each with the pipe by which it tells things."""

    def __init__(self) -> None:
        self._stop = SPAWN.Event()
        self._workers: dict[Connection, BaseProcess] = {}

    def start(self, job: Job, workers: int) -> None:
        """Start every worker."""
        self._job = job
        for _ in range(workers):
            self._start_one()

    def capacity(self) -> int:
        """The processes that run."""
        return len(self._workers)

    def poll(self, timeout_s: float) -> list[Event]:
        """Hear those that have something to tell."""
        if not self._workers:
            time.sleep(timeout_s)
        return [self._hear(pipe) for pipe in wait(list(self._workers), timeout_s)]

    def stop(self) -> None:
        """Tell all to end, and wait for it."""
        self._stop.set()
        for process in self._workers.values():
            process.join()
        self._workers = {}

    def _start_one(self) -> None:
        mine, theirs = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=work, args=(self._job, self._stop, theirs), daemon=True)
        process.start()
        theirs.close()
        self._workers[mine] = process

    def _hear(self, pipe: Connection) -> Event:
        try:
            event = pipe.recv()
        except EOFError:  # it was killed, or died in an error of its own
            self._workers[pipe].join()
            process = self._workers[pipe]
            found = ending(process.exitcode or 0)
            event = Ended(is_done=False, how=found.how, pid=process.pid, cause=found.cause)
        if isinstance(event, Ended):
            self._workers.pop(pipe).join()
            pipe.close()
            if not event.is_done:
                self._start_one()
        return event


executors.add("spawn", SpawnExecutor)

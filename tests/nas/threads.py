"""A plug-in's executor: its workers are threads of this process, so they know what is registered in it."""

import queue
import threading

from nas.executors.base import Ended, Event, Executor, executors
from nas.trials.job import Job
from nas.trials.worker import run


class ThreadExecutor(Executor):
    """Threads. They share one interpreter, so several are hardly faster than one."""

    def __init__(self) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._at_work = 0

    def start(self, job: Job, workers: int) -> None:
        self._job = job
        for _ in range(workers):
            self._start_one()

    def capacity(self) -> int:
        return self._at_work

    def poll(self, timeout_s: float) -> list[Event]:
        found = []
        try:
            found.append(self._events.get(timeout=timeout_s))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            pass
        for event in found:
            if isinstance(event, Ended):
                self._at_work -= 1
                if not event.is_done:
                    self._start_one()
        return found

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._at_work = 0

    def _start_one(self) -> None:
        self._threads.append(threading.Thread(target=self._work))
        self._at_work += 1
        self._threads[-1].start()

    def _work(self) -> None:
        is_done = False
        try:
            is_done = run(self._job, self._stop, self._events.put)
        finally:
            self._events.put(Ended(is_done))


if "thread" not in executors:
    executors.add("thread", ThreadExecutor)

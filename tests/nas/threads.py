"""A plug-in's executor: its worker is a thread of this process, so it knows what is registered in it."""

import queue
import threading

from nas.executors.base import Ended, Event, Executor, executors
from nas.trials.job import Job
from nas.trials.worker import run


class ThreadExecutor(Executor):
    """One thread, whatever is asked for: two workers must not share a process."""

    def __init__(self) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, job: Job, workers: int) -> None:
        self._job = job
        self._start_thread()

    def capacity(self) -> int:
        return 0 if self._thread is None else 1

    def poll(self, timeout_s: float) -> list[Event]:
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return []
        if isinstance(event, Ended):
            self._thread = None
            if not event.is_done:
                self._start_thread()
        return [event]

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        is_done = False
        try:
            is_done = run(self._job, self._stop, self._events.put)
        finally:
            self._events.put(Ended(is_done))


if "thread" not in executors:
    executors.add("thread", ThreadExecutor)

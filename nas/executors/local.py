"""The executor ``local``: each worker is a process of this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait

from nas.executors.base import LOCAL, Ended, Event, Executor, executors
from nas.executors.endings import MemoryWatch, ending
from nas.trials.job import Job, Told

STOP_S = 15.0
"""How long a worker may take to put its trial back."""
EXIT_S = 5.0
"""How long a process that has closed its pipe may take to end."""

BEGIN = (
    "import json, sys; sys.path = json.loads(sys.stdin.readline()); "
    "from runtime.parent import end_with; end_with(int(sys.argv[2])); "
    "from pkgutil import resolve_name; resolve_name({main!r})()"
)
"""What a worker's Python runs: not the user's main module, as ``multiprocessing`` would have it. So a search
may be started by a script without ``if __name__ == "__main__"``, from a notebook, or from standard input."""


class LocalExecutor(Executor):
    """Processes of this machine, each a fresh Python: a fork of one with torch's threads in it can hang."""

    def __init__(self, make: "Callable[[Job], WorkerProcess] | None" = None) -> None:
        self._make = make or WorkerProcess
        self._job: Job | None = None
        self._workers: list[WorkerProcess] = []
        self._memory = MemoryWatch()

    def start(self, job: Job, workers: int) -> None:
        """Start every worker."""
        self._job = job
        for _ in range(workers):
            self._start_one(job)

    def capacity(self) -> int:
        """The processes that run."""
        return len(self._workers)

    def poll(self, timeout_s: float) -> list[Event]:
        """Hear all workers, and replace those that died."""
        wait([worker.pipe for worker in self._workers if not worker.pipe.closed], timeout_s)
        return [event for worker in list(self._workers) for event in self._hear(worker)]

    def _hear(self, worker: "WorkerProcess") -> Iterator[Event]:
        code = worker.exit_code()  # before it is heard, so that nothing that it told last is missed
        yield from worker.told()
        if code is None:
            return
        self._workers.remove(worker)
        worker.pipe.close()
        found = ending(code, out_of_memory=code == -signal.SIGKILL and self._memory.has_killed(worker.pid))
        yield Ended(is_done=code == 0, how=found.how, pid=worker.pid, cause=found.cause)
        if code != 0 and self._job is not None:
            self._start_one(self._job)

    def _start_one(self, job: Job) -> None:
        with _without_ctrl_c():  # which would come between a process and the list by which it is stopped
            self._workers.append(self._make(job))

    def stop(self) -> None:
        """End every worker, by force after ``STOP_S``."""
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + STOP_S
        for worker in self._workers:
            worker.end_by(deadline)
        self._workers = []


class WorkerProcess:
    """A process that works, and this end of the pipe by which it tells things.

    Args:
        main: what it runs, as ``module:function``.
        arguments: what ``main`` finds in ``sys.argv`` after the pipe and the parent.
    """

    def __init__(
        self, job: Job, main: str = "nas.executors.process:main", arguments: Sequence[str] = ()
    ) -> None:
        self.pipe, theirs = Pipe(duplex=False)
        begin = BEGIN.format(main=main)
        command = [sys.executable, "-P", "-c", begin, str(theirs.fileno()), str(os.getpid()), *arguments]
        with closing(theirs):
            self._process = subprocess.Popen(  # noqa: S603 - our own Python
                command, stdin=subprocess.PIPE, pass_fds=(theirs.fileno(),)
            )
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # its exit code tells that it died
            stdin.write(f"{json.dumps(sys.path)}\n{job.to_json()}".encode())  # in ASCII

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def told(self) -> Iterator[Told]:
        """What it told and nobody has read yet."""
        try:
            while not self.pipe.closed and self.pipe.poll():
                yield Told.from_json(self.pipe.recv_bytes())
        except EOFError:
            self.pipe.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_S)

    def terminate(self) -> None:
        """Tell it to put its trial back and end."""
        self._process.terminate()

    def end_by(self, deadline: float) -> None:
        """Wait for its end until a time of ``time.monotonic``, then kill it."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.pipe.close()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C, as a process that is started here will from its first moment: its parent decides."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


executors.add(LOCAL, LocalExecutor)

"""What every executor keeps; see ``nas.executors.base.Executor`` for the contract."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from latency import Measurement
from nas.executors.base import Ended, Event, Executor
from nas.ledger import Ledger, SearchConfig, TrialState
from nas.measuring.bench import Predicted
from nas.trials.job import Job, Told
from search_spaces import Buildable
from search_spaces.builder import parts
from search_spaces.errors import BitnasError
from search_spaces.search_space import SearchSpace


class ExecutorConformance(ABC):
    """A suite for one executor::

        from nas.testing.executors import ExecutorConformance

        class TestMine(ExecutorConformance):
            def executor(self):
                return MyExecutor()

    The trials are real, but on a device that is made up, so that nothing is compiled. Workers must reach a
    SQLite file in a temporary folder of this machine, unless ``storage`` gives another database's URL.
    """

    patience_s = 300.0
    """How long to wait for what a worker is to do."""

    @abstractmethod
    def executor(self) -> Executor:
        """A new executor."""

    def storage(self, folder: Path) -> str:
        """The URL of a database that is empty or not there; ``folder`` is the test's own."""
        return f"sqlite:///{folder}/nas.db"

    def test_a_search_is_worked_on_to_its_end(self, tmp_path: Path) -> None:
        """Trials run, what workers tell arrives, and each worker ends as done."""
        job, events = self._job(tmp_path, trials=2, epochs=1), list[Event]()
        with self._started(job, workers=2) as executor:
            assert executor.capacity() <= 2
            self._poll_until(executor, events, lambda: bool(_ends(events)) and executor.capacity() == 0)
        assert all(ended.is_done for ended in _ends(events))
        assert [DRIFT] in [event.drifts for event in events if isinstance(event, Told)]
        assert isinstance(events[-1], Ended), "what a worker told comes before its end"
        with Ledger.open(job.storage) as ledger:
            trials = ledger.trials(job.search)
        found = [(trial.state, trial.error) for trial in trials]
        assert found == [(TrialState.COMPLETE, None)] * 2, found

    def test_a_worker_that_fails_is_told_of_and_replaced(self, tmp_path: Path) -> None:
        """Twice, which shows that another one took its place."""
        job, events = self._job(tmp_path, bench=fail), list[Event]()
        with self._started(job, workers=1) as executor:
            self._poll_until(executor, events, lambda: len(_ends(events)) == 2)
        assert not any(ended.is_done for ended in _ends(events))
        told = [event.error for event in events if isinstance(event, Told) and event.error]
        assert told[:2] == [FAILURE, FAILURE]

    def test_a_worker_that_is_stopped_puts_its_trial_back(self, tmp_path: Path) -> None:
        """And nobody is at work once ``stop`` has returned."""
        job = self._job(tmp_path, trials=1, epochs=100_000)
        with Ledger.open(job.storage) as ledger:
            with self._started(job, workers=1) as executor:
                self._poll_until(executor, [], lambda: bool(ledger.epochs(job.search, 0)))
                executor.stop()
                assert executor.capacity() == 0
            assert ledger.trial(job.search, 0).state is TrialState.QUEUED
            assert not ledger.epochs(job.search, 0)

    def test_what_was_not_started_can_be_stopped(self) -> None:
        """As after an error that came before."""
        executor = self.executor()
        executor.stop()
        assert executor.capacity() == 0

    def _job(self, folder: Path, trials: int = 1, epochs: int = 1, **fields: Any) -> Job:
        config = SearchConfig(space="tiny", data="digits", device="local", trials=trials, epochs=epochs)
        storage = self.storage(folder)
        with Ledger.open(storage, create=True) as ledger:
            ledger.create_search("conformance", config)
        return Job(storage, "conformance", **{"bench": MadeUpBench, "poll_s": 0.1, **fields})

    @contextmanager
    def _started(self, job: Job, workers: int) -> Iterator[Executor]:
        executor = self.executor()
        try:
            executor.start(job, workers)
            yield executor
        finally:
            executor.stop()

    def _poll_until(self, executor: Executor, events: list[Event], condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.patience_s
        while not condition():
            assert time.monotonic() < deadline, f"nothing more in {self.patience_s:g} s; so far: {events}"
            assert executor.capacity() or not any(e.is_done for e in _ends(events)), f"all ended: {events}"
            events += executor.poll(0.2)


def _ends(events: list[Event]) -> list[Ended]:
    return [event for event in events if isinstance(event, Ended)]


DRIFT = 0.25
FAILURE = "device: it is not there, as was asked for"


class MadeUpBench:
    """A device that is made up: a block takes 0.1 ms, and nothing is compiled or timed."""

    def __init__(self, config: SearchConfig, ledger: Ledger, lock: object) -> None:
        pass

    def identity(self) -> None:
        """There is no device."""

    def profile(self, space: SearchSpace, progress: object) -> None:
        """There is nothing to know."""

    def median(self, space: SearchSpace) -> float:
        """Of three blocks."""
        return 0.3

    def predict(self, architecture: Buildable) -> Predicted:
        """The sum over the blocks, each of which counts as one workload."""
        works = [(part.name, 0.1) for part in parts(architecture) if part.name not in ("stem", "head")]
        return Predicted(sum(ms for _, ms in works), works)

    def estimate(self, architecture: Buildable) -> Predicted:
        """As certain."""
        return self.predict(architecture)

    def measure(self, architecture: Buildable) -> Measurement:
        """What is predicted."""
        return Measurement(self.predict(architecture).milliseconds, 0.0, 1, "2026-01-01T00:00:00+00:00", "0")

    def drifts(self) -> list[float]:
        """One batch that was slower than usual."""
        return [DRIFT]


def fail(config: SearchConfig, ledger: Ledger, lock: object) -> NoReturn:
    """A device that is not there."""
    raise BitnasError(FAILURE)

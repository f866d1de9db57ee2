"""Runs a search, shows how it goes, and tells what it took: for the command and for Python alike."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from nas.executors.base import LOCAL
from nas.ledger.away import Patience
from nas.ledger.store import Ledger
from nas.searching.progress import disturbance, watcher
from nas.searching.running import run


@dataclass(frozen=True)
class Spent:
    """What running a search took.

    Attributes:
        workers: how many there were.
        seconds: from the start to the end.
        training_s: of all workers together.
        measuring_s: likewise.
        drifts: by what share the device was slower than usual, for each batch of measurements.
    """

    workers: int
    seconds: float
    training_s: float
    measuring_s: float
    drifts: tuple[float, ...]

    def sentences(self, to_know_when: str) -> list[str]:
        """What to tell a person; ``to_know_when`` is the setting that tells when a device was disturbed."""
        disturbed = disturbance(self.drifts)
        found = [f"{disturbed}; {to_know_when} says when"] if disturbed else []
        if not self.training_s and not self.measuring_s:
            return found
        return [*found, self._told_time()]

    def _told_time(self) -> str:
        """What the workers' time went into."""
        took = f"Training took {self.training_s:.0f} s and measuring {self.measuring_s:.0f} s"
        seconds = self.workers * self.seconds
        whose = "the worker's" if self.workers == 1 else f"{self.workers} workers'"
        return f"{took} of {whose} {seconds:.0f} s ({self.measuring_s / seconds:.0%} measuring)"


def run_shown(
    storage: str,
    name: str,
    workers: int = 1,
    executor: str = LOCAL,
    progress: bool | None = None,
    verbose: bool = False,
    minutes: float | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Spent:
    """Run what is left of the search ``name``.

    Args:
        storage: the ledger's database URL.
        name: the search.
        workers: how many trials to run at once.
        executor: where to run them.
        progress: whether to show how it goes; None: on a terminal and in a notebook.
        verbose: whether workers tell when the device was disturbed.
        minutes: after which no trial is begun; None: until all are done.
        settings: those of the executor.

    Raises:
        InvalidInput: too few or too many workers, or no such executor.
        BitnasError: the workers die without getting anywhere.
    """
    from nas.trials.job import Job

    patience = Patience()
    with (
        Ledger.open(storage, patience=patience) as ledger,
        watcher(ledger, ledger.search(name), progress) as shown,
    ):
        started = time.monotonic()
        until = None if minutes is None else time.time() + 60 * minutes
        job = Job(storage, name, verbose=verbose, until=until)
        run(job, workers, shown.trials, shown.progress, executor, patience, settings)
        seconds = time.monotonic() - started
    told = shown.told
    return Spent(workers, seconds, told.training_s, told.measuring_s, tuple(told.drifts))

"""Runs what is left of a search by workers of an executor, until it is finished or somebody stops it."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType, MappingProxyType
from typing import Any

from nas.executors.base import LOCAL
from nas.executors.base import executor as made
from nas.ledger.away import Patience
from nas.ledger.claims import Claims
from nas.ledger.history import History
from nas.ledger.records import SearchRecord
from nas.ledger.store import Ledger
from nas.ledger.workers import Worker
from nas.measuring.front_todo import next_of_front
from nas.searching.checking import check_run, ignore
from nas.searching.supervision import OnChange, OnProgress, Supervision
from nas.trials.job import Job, Told
from search_spaces.errors import DatabaseAwayError

STOPPING = "stopping: each worker puts its trial back, which may take some seconds"


def run(
    job: Job,
    workers: int = 1,
    on_change: OnChange = ignore,
    on_progress: OnProgress = ignore,
    executor: str = LOCAL,
    patience: Patience | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> SearchRecord:
    """Run what is left of a search by at most ``workers`` workers of an executor.

    ``on_change`` gets the search when the count of any state has changed, at most four times a second, and at
    the end; ``on_progress`` gets it, and what the workers told, whenever one of them told something, and at
    the end. On Ctrl-C or SIGTERM the workers put their trials back and KeyboardInterrupt is raised.
    ``patience`` says how long to wait for a database that is away; it tells stderr unless told otherwise.

    Raises:
        InvalidInput: too few or too many workers, no such executor, or a setting that is not of it.
        DatabaseAwayError: the database has not answered for too long.
        BitnasError: the workers die without getting anywhere.
    """
    check_run(workers, executor, settings=settings)
    patience = patience or Patience()
    with Ledger.open(job.storage, patience=patience) as ledger, _sigterm_interrupts():
        workplace = made(executor, settings)
        watch = Supervision(workplace, ledger, job.search, workers, on_change, on_progress)
        try:
            if is_anything_left(ledger, job.search):
                workplace.start(job, workers)
                watch.until_done()
        except KeyboardInterrupt:
            patience.end()
            watch.progress.hear(Told(stage=STOPPING))
            with suppress(DatabaseAwayError):
                on_progress(ledger.search(job.search), watch.progress)
            raise
        finally:
            workplace.stop()
            with suppress(DatabaseAwayError):  # whoever comes next finds the dead, too
                Claims(ledger, job.search, Worker.this_process()).release_dead()
        found = ledger.search(job.search)
        on_change(found)
        on_progress(found, watch.progress)
        return found


def is_anything_left(ledger: Ledger, search: str) -> bool:
    """Whether a trial has not ended, or something of the front is not measured."""
    if not ledger.search(search).finished:
        return True
    return next_of_front(ledger, search, History(ledger, search)) is not None


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the workers never outlive this process by it."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

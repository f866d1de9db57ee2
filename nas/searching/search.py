"""Creates, resumes and runs a search."""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import FrameType

from nas.executors.base import LOCAL, executors
from nas.ledger.claims import Claims
from nas.ledger.records import SearchConfig, SearchRecord, check_search_name
from nas.ledger.store import Ledger
from nas.ledger.workers import Worker
from nas.measuring.devices import check_device
from nas.measuring.front_todo import next_of_front
from nas.objectives import LATENCY_AT, devices_of
from nas.searching.supervision import OnChange, OnProgress, Supervision
from nas.trials.job import Job, Told
from search_spaces.errors import InvalidInput

MAX_WORKERS = 256
STOPPING = "stopping: each worker puts its trial back, which may take some seconds"

OnImages = Callable[[int, int], None]


def ignore(*_: object) -> None:
    """Nobody wants to know."""


def check_config(config: SearchConfig, on_images: OnImages = ignore) -> None:
    """Refuse a search that could not run, before anything is written.

    Raises:
        InvalidInput: an unknown space, sampler or pruner; data that cannot be read, or that the space is not
            for.
    """
    from nas.algorithms.choosing import check_sampler
    from nas.algorithms.pruners import pruners
    from nas.data import load
    from search_spaces.search_space import spaces

    space = spaces.get(config.space)
    check_sampler(config.sampler)
    pruners.get(config.pruner)
    data = load(config.data, config.image_size, on_images)
    space.fitted(data.input_shape, data.classes)


def check_devices(storage: str, config: SearchConfig) -> None:
    """InvalidInput when a search's device is not known, or a further one, or that is the same."""
    check_device(storage, config.device)
    for parameter, names in (("objectives", config.objectives), ("limits", config.limits)):
        for device in devices_of(names):
            if device == config.device:
                problem = f"'{LATENCY_AT}{device}' is of the search's own device"
                raise InvalidInput(parameter, problem, "give latency")
            try:
                check_device(storage, device)
            except InvalidInput as error:
                raise error.of(parameter) from error


def check_run(workers: int, executor: str) -> None:
    """InvalidInput when there are too few workers or too many, or no executor of that name."""
    if not 1 <= workers <= MAX_WORKERS:
        fix = f"give a whole number in 1..{MAX_WORKERS}"
        raise InvalidInput("workers", f"{workers} is out of range", fix)
    executors.get(executor)


def create(
    storage: str, name: str | None, config: SearchConfig, on_images: OnImages = ignore
) -> SearchRecord:
    """Write a new search to the ledger at ``storage``, which is made if it is not there.

    Args:
        storage: the ledger's database URL.
        name: what to call the search; None for the space, the data and a number, such as ``tiny-digits-1``.
        config: what is asked for; a path to data becomes absolute, so that the search goes on from anywhere.
        on_images: is told how many images are decoded, the first time.

    Raises:
        InvalidInput: the config could not run, or the name is malformed or taken; nothing is written.
        BitnasError: the database does not open.
    """
    from nas.data.opening import canonical

    if name is not None:
        check_search_name(name)
    check_config(config, on_images)
    check_devices(storage, config)
    config = replace(config, data=canonical(config.data))
    with Ledger.open(storage, create=True) as ledger:
        if name is not None:
            return ledger.create_search(name, config)
        return _create_unnamed(ledger, config)


def _create_unnamed(ledger: Ledger, config: SearchConfig) -> SearchRecord:
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{config.space}-{Path(config.data).stem}")
    words = words.strip("._-")[:50] or "search"
    for number in count(1):
        name = f"{words}-{number}"
        if name in _names(ledger):
            continue
        try:
            return ledger.create_search(name, config)
        except InvalidInput:
            if name not in _names(ledger):
                raise  # else another process has just taken it
    raise AssertionError("unreachable: there is always another number")


def _names(ledger: Ledger) -> set[str]:
    return {search.name for search in ledger.searches()}


def resume(storage: str, name: str) -> SearchRecord:
    """The search ``name``, checked to be one that this installation can go on with."""
    with Ledger.open(storage) as ledger:
        record = ledger.search(name)
    check_config(record.config)
    check_devices(storage, record.config)
    return record


def run(
    job: Job,
    workers: int = 1,
    on_change: OnChange = ignore,
    on_progress: OnProgress = ignore,
    executor: str = LOCAL,
) -> SearchRecord:
    """Run what is left of a search by at most ``workers`` workers of an executor.

    ``on_change`` gets the search when the count of any state has changed, at most four times a second, and at
    the end; ``on_progress`` gets it, and what the workers told, whenever one of them told something, and at
    the end. On Ctrl-C or SIGTERM the workers put their trials back and KeyboardInterrupt is raised.

    Raises:
        InvalidInput: too few or too many workers, or no such executor.
        BitnasError: the workers die without getting anywhere.
    """
    check_run(workers, executor)
    with Ledger.open(job.storage) as ledger, _sigterm_interrupts():
        workplace = executors.get(executor)()
        watch = Supervision(workplace, ledger, job.search, workers, on_change, on_progress)
        try:
            if is_anything_left(ledger, job.search):
                workplace.start(job, workers)
                watch.until_done()
        except KeyboardInterrupt:
            watch.progress.hear(Told(stage=STOPPING))
            on_progress(ledger.search(job.search), watch.progress)
            raise
        finally:
            workplace.stop()
            Claims(ledger, job.search, Worker.this_process()).release_dead()
        found = ledger.search(job.search)
        on_change(found)
        on_progress(found, watch.progress)
        return found


def is_anything_left(ledger: Ledger, search: str) -> bool:
    """Whether a trial has not ended, or something of the front is not measured."""
    return not ledger.search(search).finished or next_of_front(ledger, search) is not None


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

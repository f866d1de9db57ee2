"""Running a search: checking what is asked for, and keeping worker processes at it until it is finished."""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TYPE_CHECKING, Any

from nas.hints import command
from nas.ledger.claims import MAX_DEATHS, Claims
from nas.ledger.records import SearchConfig, SearchRecord, check_search_name
from nas.ledger.store import Ledger
from nas.ledger.workers import Worker
from nas.measuring.devices import check_device
from nas.measuring.front_todo import next_of_front
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from nas.trials.worker import Job

OnChange = Callable[[SearchRecord], None]


@dataclass
class Progress:
    """What the workers of a search have told of themselves.

    Attributes:
        stage: what goes on beside trials, in words; empty where there is nothing.
        done: how much of it is done, None where it cannot be counted.
        of: of how much.
        drifts: by what share the device was slower than usual, for each batch of measurements.
    """

    stage: str = ""
    done: int | None = None
    of: int | None = None
    drifts: list[float] = field(default_factory=list)

    def hear(self, told: dict[str, Any]) -> None:
        """Take in what a worker tells."""
        if "stage" in told:
            self.stage, self.done, self.of = told["stage"], told.get("done"), told.get("of")
        self.drifts += told.get("drifts", [])


OnProgress = Callable[[SearchRecord, Progress], None]

POLL_S = 0.3
STOP_S = 15.0
MAX_WORKERS = 256


def check_config(config: SearchConfig) -> None:
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
    data = load(config.data, config.image_size)
    space.fitted(data.input_shape, data.classes)


def check_workers(workers: int) -> None:
    """InvalidInput when there are too few or too many."""
    if not 1 <= workers <= MAX_WORKERS:
        fix = f"give a whole number in 1..{MAX_WORKERS}"
        raise InvalidInput("workers", f"{workers} is out of range", fix)


def create(storage: str, name: str, config: SearchConfig) -> SearchRecord:
    """Write a new search to the ledger at ``storage``, which is made if it is not there.

    Raises:
        InvalidInput: the config could not run, or the name is malformed or taken; nothing is written.
        BitnasError: the database does not open.
    """
    check_search_name(name)
    check_config(config)
    for device in (config.device, *config.further_devices):
        check_device(storage, device)
    with Ledger.open(storage, create=True) as ledger:
        return ledger.create_search(name, config)


def resume(storage: str, name: str) -> SearchRecord:
    """The search ``name``, checked to be one that this installation can go on with."""
    with Ledger.open(storage) as ledger:
        record = ledger.search(name)
    check_config(record.config)
    for device in (record.config.device, *record.config.further_devices):
        check_device(storage, device)
    return record


def run(
    job: "Job",
    workers: int = 1,
    on_change: OnChange | None = None,
    on_progress: OnProgress | None = None,
) -> SearchRecord:
    """Run what is left of a search on ``workers`` processes of this machine.

    ``on_change`` gets the search whenever the count of any state has changed, and at the end; ``on_progress``
    gets it, and what the workers told, whenever one of them told something, and at the end. A worker that
    dies is replaced. On Ctrl-C or SIGTERM the workers put their trials back and KeyboardInterrupt is raised.

    Raises:
        InvalidInput: too few or too many workers.
        BitnasError: the workers die without getting anywhere.
    """
    check_workers(workers)
    with Ledger.open(job.storage) as ledger, _sigterm_interrupts():
        crew = _Crew(replace(job, parent=os.getpid()), workers)
        try:
            if _is_anything_left(ledger, job.search):
                crew.start()
            _supervise(crew, ledger, job.search, on_change, on_progress)
        finally:
            crew.stop()
            Claims(ledger, job.search, Worker.this_process()).release_dead()
        return ledger.search(job.search)


def _is_anything_left(ledger: Ledger, search: str) -> bool:
    return not ledger.search(search).finished or next_of_front(ledger, search) is not None


def _supervise(
    crew: "_Crew",
    ledger: Ledger,
    search: str,
    on_change: OnChange | None,
    on_progress: OnProgress | None,
) -> None:
    last, fruitless = ledger.search(search), 0
    progress = Progress()
    while crew.wait(POLL_S):
        now = ledger.search(search)
        if now.counts != last.counts:
            last, fruitless = now, 0
            if on_change is not None:
                on_change(now)
        for told in crew.hear():
            progress.hear(told)
            if on_progress is not None:
                on_progress(now, progress)
        fruitless += crew.replace_dead()
        if fruitless > (1 if crew.last_words else MAX_DEATHS + crew.size):
            fix = f"see why with: {command('search', resume=search, storage=ledger.url, debug=True)}"
            died = f"search: its workers die (exit code {crew.last_code}) without a result; {fix}"
            raise BitnasError(crew.last_words or died)
    for told in crew.hear():
        progress.hear(told)
    if on_change is not None:
        on_change(ledger.search(search))
    if on_progress is not None:
        on_progress(ledger.search(search), progress)


@dataclass(frozen=True)
class _Hand:
    """One worker process, and the end of a pipe that tells what it does and why it could not work."""

    process: BaseProcess
    words: Connection


class _Crew:
    """The worker processes of one search."""

    def __init__(self, job: "Job", size: int) -> None:
        self._job = job
        self.size = size
        self.last_code: int | None = None
        self.last_words: str | None = None
        self._hands: list[_Hand] = []
        self._heard: list[dict[str, Any]] = []

    def start(self) -> None:
        """Start every worker."""
        for _ in range(self.size):
            self._hands.append(self._start_one())

    def wait(self, timeout_s: float) -> bool:
        """Wait until a worker ends or the time is up; False when all have done their work."""
        if not self._hands:
            return False
        wait([hand.process.sentinel for hand in self._hands], timeout_s)
        for hand in self._hands:
            self._listen(hand)
        return True

    def _listen(self, hand: _Hand) -> None:
        """Take in what a worker told, among it perhaps why it cannot work."""
        for told in _told(hand):
            self._heard.append(told)
            self.last_words = told.get("error", self.last_words)

    def hear(self) -> list[dict[str, Any]]:
        """What the workers have told since this was asked last."""
        found, self._heard = self._heard, []
        return found

    def replace_dead(self) -> int:
        """Forget the workers that have finished, replace those that died, and tell how many did."""
        ended = [hand for hand in self._hands if hand.process.exitcode is not None]
        died = [hand for hand in ended if hand.process.exitcode != 0]
        self._hands = [hand for hand in self._hands if hand not in ended]
        for hand in ended:
            self._listen(hand)  # the last it told may have come after it was heard
        for hand in died:
            self.last_code = hand.process.exitcode
            self._hands.append(self._start_one())
        return len(died)

    def stop(self) -> None:
        """Tell the workers to put their trials back, and end those that do not listen."""
        for hand in self._hands:
            hand.process.terminate()
        deadline = time.monotonic() + STOP_S
        for hand in self._hands:
            hand.process.join(max(0.0, deadline - time.monotonic()))
            if hand.process.exitcode is None:
                hand.process.kill()
                hand.process.join()
        self._hands = []

    def _start_one(self) -> _Hand:
        from nas.trials import worker

        # A forked copy of a process with TVM's or torch's threads in it can hang; a fresh one cannot.
        spawn = multiprocessing.get_context("spawn")
        words, pen = spawn.Pipe(duplex=False)
        process = spawn.Process(target=worker.main, args=(self._job, pen))
        # A worker ignores Ctrl-C from its first moment, as it inherits that from here.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if _in_main_thread() else None
        try:
            process.start()
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
        pen.close()  # The worker has its own; when that one dies, the pipe ends.
        return _Hand(process, words)


def _told(hand: _Hand) -> list[dict[str, Any]]:
    """What a worker told and nobody has read yet; one that was killed may have told nothing."""
    found = []
    try:
        while hand.words.poll():
            found.append(json.loads(hand.words.recv_bytes()))
    except EOFError:
        pass
    return found


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the workers never outlive this process by it."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if not _in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()

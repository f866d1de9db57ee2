"""Keeps watch over an executor until a search is finished, and passes on what its workers tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nas.executors.base import Ended, Event, Executor
from nas.hints import command
from nas.ledger.claims import Claims
from nas.ledger.losses import MAX_OWN, MAX_UNKNOWN, THEN
from nas.ledger.records import SearchRecord, TrialState
from nas.ledger.store import Ledger
from nas.ledger.tally import Tally
from nas.ledger.workers import Worker
from nas.trials.job import Told
from search_spaces.errors import BitnasError

POLL_S = 0.3
CHANGE_S = 0.25
"""Who is told of changes is told at most so often."""


@dataclass
class Progress:
    """What the workers of a search have told of themselves.

    Attributes:
        stage: what goes on beside trials, in words; empty where there is nothing.
        done: how much of it is done, None where it cannot be counted.
        of: of how much.
        drifts: by what share the device was slower than usual, for each batch of measurements.
        training_s: seconds of training of the workers that have ended.
        measuring_s: seconds of measuring, likewise.
        error: what kept a worker from working, the last time that one told.
        notices: lines that people should see, such as of a worker's death.
    """

    stage: str = ""
    done: int | None = None
    of: int | None = None
    drifts: list[float] = field(default_factory=list)
    training_s: float = 0.0
    measuring_s: float = 0.0
    error: str | None = None
    notices: list[str] = field(default_factory=list)

    def hear(self, told: Told) -> None:
        """Take in what a worker tells."""
        if told.stage is not None:
            self.stage, self.done, self.of = told.stage, told.done, told.of
        self.drifts += told.drifts
        self.training_s += told.training_s
        self.measuring_s += told.measuring_s
        self.error = told.error or self.error
        self.notices += [] if told.notice is None else [told.notice]
        if told.remark is not None and told.remark not in self.notices:
            self.notices.append(told.remark)


OnChange = Callable[[SearchRecord], None]
OnProgress = Callable[[SearchRecord, Progress], None]


@dataclass
class Supervision:
    """One search, the executor that runs its workers, and who is told how it goes."""

    executor: Executor
    ledger: Ledger
    search: str
    workers: int
    on_change: OnChange
    on_progress: OnProgress
    progress: Progress = field(default_factory=Progress)
    is_done: bool = False
    deaths: int = 0
    idle_deaths: int = 0
    last_end: str = ""
    told_at: float = 0.0

    def until_done(self) -> None:
        """Watch until one worker has found nothing left to do, and those at the last trials have ended.

        Raises:
            BitnasError: workers die or fail, one after the other, and no trial changes meanwhile.
        """
        tally = Tally(self.ledger, self.search)
        last = told = tally.record
        while not (self.is_done and self.executor.capacity() == 0):
            events = self.executor.poll(POLL_S)
            now = tally.refresh()
            if _settled(now) != _settled(last):
                self.deaths = self.idle_deaths = 0
            last = now if now.counts != last.counts else last
            if last is not told and time.monotonic() - self.told_at >= CHANGE_S:
                told, self.told_at = last, time.monotonic()
                self.on_change(told)
            for event in events:
                self._take(event, now)
            self._raise_if_fruitless()

    def _take(self, event: Event, now: SearchRecord) -> None:
        if isinstance(event, Told):
            self.progress.hear(event)
            self.on_progress(now, self.progress)
        elif event.is_done:
            self.is_done = True
        else:
            self.deaths += 1
            self.last_end = event.how
            told = self._told_death(event)
            if self.progress.error is None:
                self.progress.notices.append(told)
                self.on_progress(now, self.progress)

    def _told_death(self, ended: Ended) -> str:
        """Which trial a worker has died in, and what becomes of that, which is recorded."""
        claims = Claims(self.ledger, self.search, Worker.this_process())
        lost = None if ended.pid is None else claims.lose(ended.pid, ended.cause, ended.how)
        if lost is None:
            self.idle_deaths += 1
            return f"a worker died ({ended.how}); another takes its place"
        number, doubt = lost
        return f"trial {number}: its worker died ({ended.how}); {THEN[doubt]}"

    def _raise_if_fruitless(self) -> None:
        error = self.progress.error
        # those that die at a trial fail it at last, unless somebody goes on to kill them
        is_fruitless = self.idle_deaths > MAX_OWN + self.workers or self.deaths > MAX_UNKNOWN + self.workers
        if (error and self.deaths > 1) or is_fruitless:
            again = command("search", resume=self.search, storage=self.ledger.url, debug=True)
            raise BitnasError(
                error or f"search: its workers die ({self.last_end}) without a result; see why with: {again}"
            )


def _settled(record: SearchRecord) -> dict[TrialState, int]:
    """How many trials got somewhere: one that is claimed, and put back by a worker that dies, has not."""
    going = TrialState.QUEUED, TrialState.RUNNING
    return {state: count for state, count in record.counts.items() if state not in going}

"""Shows how a search goes: a bar and a line a trial on a terminal, a line a trial and a stage elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nas.algorithms.pruners import pruners
from nas.analysis.epochs import Epochs
from nas.analysis.standing import Standing
from nas.formatting import MISSING, lasting
from nas.ledger.history import History
from nas.ledger.records import SearchConfig, SearchRecord, TrialRecord, TrialState
from nas.ledger.roster import FOR_OTHERS, WAITING
from nas.objectives import objective
from nas.searching.supervision import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from nas.ledger import Ledger

REFRESHES_A_SECOND = 4

COLOURS = {
    TrialState.COMPLETE: "green",
    TrialState.INFEASIBLE: "yellow",
    TrialState.PRUNED: "cyan",
    TrialState.FAILED: "red",
}


class Watcher:
    """Prints each trial that ends, once, and each stage that begins; a subclass shows the rest.

    Each call reads no more of the ledger than has changed since the last.
    """

    def __init__(self, ledger: "Ledger", record: SearchRecord, console: "Console") -> None:
        self._console = console
        self.record = record
        self._history, self.standing = History(ledger, record.name), Standing(record.config)
        self._pauses = pruners.get(record.config.pruner)(record.config).pauses
        self._epochs = Epochs(record.config)
        before = self._changed()
        self.standing.take_all(before)
        self._shown = {trial.number for trial in before if trial.state.finished}
        self._shown_before, self._epochs_before = len(self._shown), self._epochs.done
        self._started, self._done_first = time.monotonic(), 0
        self._stage, self._notices = "", 0
        self._is_held_up = self._was_held_up = False
        self.told = Progress()

    def trials(self, now: SearchRecord) -> None:
        """Show what has ended since."""
        self.record, self.standing.config = now, now.config
        for trial in sorted(self._changed(), key=lambda t: t.number):
            self.standing.take(trial)  # one after the other, so that a line tells how things stood then
            if not trial.state.finished or trial.number in self._shown:
                continue
            self._shown.add(trial.number)
            told = f"{line(trial, now.config)}  [dim]{self._so_far()}[/dim]"
            self._console.print(told, highlight=False, soft_wrap=True)

    def progress(self, now: SearchRecord, progress: Progress) -> None:
        """Show what goes on beside trials."""
        self._hear(progress)
        if not self._done():  # what comes before the first trial says nothing of others
            self._started = time.monotonic()
        if progress.stage.startswith(FOR_OTHERS):
            self._hold_up(progress.stage)
        elif progress.stage or not self._is_held_up:  # the end of a wait is no new stage
            self._is_held_up = False
            if progress.stage != self._stage:
                self._stage = progress.stage
                self.stage(progress)

    def _hold_up(self, stage: str) -> None:
        """Another process of this machine goes first: said once, though the two take turns."""
        self._is_held_up = True
        if not self._was_held_up:
            self._was_held_up = True
            told = f"{stage}, which trains or measures: this search goes on after it"
            self._console.print(told, highlight=False, markup=False, soft_wrap=True)

    def _hear(self, progress: Progress) -> None:
        """Keep what was told, and print each notice once."""
        self.told = progress
        for told in progress.notices[self._notices :]:
            self._console.print(told, highlight=False, markup=False, soft_wrap=True)
        self._notices = len(progress.notices)

    def stage(self, progress: Progress) -> None:
        """A stage has begun."""
        count = f" ({progress.of})" if progress.of else ""
        if progress.stage:
            self._console.print(f"{progress.stage}{count}", highlight=False, soft_wrap=True)

    def _so_far(self) -> str:
        return ", ".join([f"{len(self._shown)}/{self.record.trials}", *self.sentences()])

    def sentences(self) -> list[str]:
        """What is found so far, and the time left."""
        front, volume = len(self.standing.front), self.standing.hypervolume
        found = [f"best {self.standing.told_best}", f"{front} on the front"] if front else []
        found += [] if volume is None else [f"hypervolume {volume:.3f}"]
        return [*found, left] if (left := self.left()) else found

    def left(self) -> str:
        """The time that is left if the search goes on as it did.

        Where trials are paused, nobody knows how many go on: it is told how long all of them would take.
        """
        done, seconds = self._done(), time.monotonic() - self._started
        left = self._epochs.left(self.record) if self._pauses else self.record.trials - len(self._shown)
        if not done:
            return ""
        if not self._done_first:  # the first took what a worker takes to start, too
            self._done_first, self._started = done, time.monotonic()
        done, seconds = done - self._done_first, time.monotonic() - self._started
        if not done or not left:
            return ""
        return f"{'at most' if self._pauses else 'about'} {lasting(seconds / done * left)} left"

    def _done(self) -> int:
        """Trials that ended since this began to watch; where trials are paused, epochs."""
        if self._pauses:
            return self._epochs.done - self._epochs_before
        return len(self._shown) - self._shown_before

    def _changed(self) -> list[TrialRecord]:
        """The trials that have changed; their epochs are counted."""
        changed = self._history.refresh()
        for trial in changed:
            self._epochs.take(trial)
        return changed


class BarWatcher(Watcher):
    """With a bar that tells the stage, and a line below it of how the search stands."""

    def __init__(self, ledger: "Ledger", record: SearchRecord, console: "Console") -> None:
        super().__init__(ledger, record, console)
        self._found = ""
        self.bar = _bar(console, lambda: self._found)
        self._name = record.name
        self._task = self.bar.add_task(record.name, total=record.trials, completed=len(self._shown))

    def trials(self, now: SearchRecord) -> None:
        """Move the bar, too."""
        super().trials(now)
        self._found = "; ".join(filter(None, [states(now), *self.sentences()]))
        self.bar.update(
            self._task, total=now.trials, completed=len(self._shown), description=f"{self._name}: trials"
        )

    def progress(self, now: SearchRecord, progress: Progress) -> None:
        """Tell the stage in the bar."""
        self._hear(progress)
        if progress.stage.startswith(FOR_OTHERS):
            self._hold_up(progress.stage)
            self.bar.update(self._task, description=f"{self._name}: {WAITING}")
        elif progress.of:
            self.bar.update(
                self._task,
                total=progress.of,
                completed=progress.done,
                description=f"{self._name}: {progress.stage}",
            )
        elif progress.stage:
            self.bar.update(self._task, description=f"{self._name}: {progress.stage}")


def _bar(console: "Console", found: Callable[[], str]) -> "Bar":
    """A bar, and below it a line of what ``found`` gives, as both do not fit a terminal's width."""
    from rich.console import RenderableType
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class BarAndLine(Bar):
        def get_renderables(self) -> Iterable[RenderableType]:
            yield from super().get_renderables()
            yield Text(found(), style="dim", no_wrap=True, overflow="ellipsis")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return BarAndLine(*columns, console=console, transient=True, refresh_per_second=REFRESHES_A_SECOND)


def is_watched(progress: bool | None = None) -> bool:
    """Whether to show progress: as asked for, else where a person looks on, at a terminal or a notebook."""
    from rich.console import Console

    console = Console(stderr=True)
    return (console.is_terminal or console.is_jupyter) if progress is None else progress


@contextmanager
def watcher(ledger: "Ledger", record: SearchRecord, progress: bool | None = True) -> Iterator[Watcher]:
    """Shows a search on stderr, or in the notebook; see ``run_shown`` for ``progress``."""
    from rich.console import Console

    console = Console(stderr=True, quiet=not is_watched(progress))
    if console.quiet or not console.is_terminal:
        yield Watcher(ledger, record, console)
        return
    found = BarWatcher(ledger, record, console)
    with found.bar:
        yield found


def line(trial: TrialRecord, config: SearchConfig) -> str:
    """A trial that has ended, and what it has of the search's objectives, with rich's markup."""
    from rich.markup import escape

    colour = COLOURS[trial.state]
    parts = [f"trial {trial.number:>4}  [{colour}]{trial.state:<10}[/{colour}]"]
    for name in config.objectives:
        of, value = objective(name), objective(name).of(trial)
        about = "about " if value is not None and value.estimated else ""
        parts.append(f"{of.title} {about}{MISSING if value is None else of.told(value.value)}")
    if trial.state is TrialState.FAILED:
        parts.append(escape(trial.error or ""))
    return "  ".join(parts)


def states(record: SearchRecord) -> str:
    """How many trials are in which state, those that are queued left out."""
    counts = ((state, count) for state, count in record.counts.items() if state is not TrialState.QUEUED)
    return ", ".join(f"{count} {state}" for state, count in counts if count)


def disturbance(drifts: Sequence[float], usual: float = 0.1) -> str | None:
    """In a sentence, how disturbed the device was; None where it was not."""
    slow = [drift for drift in drifts if drift > usual]
    if not slow:
        return None
    much = f"up to {max(slow):.0%}" if len(slow) > 1 else f"{slow[0]:.0%}"
    batches = f"{len(slow)} of {len(drifts)} batches of measurements"
    return f"The device was disturbed in {batches}: {much} slower than usual"

"""Shows how a search goes: a bar and a line a trial on a terminal, a line a trial and a stage elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nas.formatting import milliseconds
from nas.ledger.records import SearchRecord, TrialRecord, TrialState
from nas.searching.supervision import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from nas.ledger import Ledger

COLOURS = {
    TrialState.COMPLETE: "green",
    TrialState.INFEASIBLE: "yellow",
    TrialState.PRUNED: "cyan",
    TrialState.FAILED: "red",
}


class Watcher:
    """Prints each trial that ends, once, and each stage that begins; a subclass shows the rest."""

    def __init__(self, ledger: "Ledger", record: SearchRecord, console: "Console") -> None:
        self._ledger, self._console = ledger, console
        self._trials = record.config.trials
        self._shown = {t.number for t in ledger.trials(record.name) if t.state.finished}
        self._shown_before = len(self._shown)
        self._started = time.monotonic()
        self._stage = ""
        self.told = Progress()

    def trials(self, now: SearchRecord) -> None:
        """Show what has ended since."""
        trials = self._ledger.trials(now.name)
        best = max((t.accuracy or 0.0 for t in trials if t.state is TrialState.COMPLETE), default=None)
        for trial in trials:
            if trial.state.finished and trial.number not in self._shown:
                self._shown.add(trial.number)
                self._console.print(f"{line(trial)}{self._so_far(best)}", highlight=False, soft_wrap=True)

    def progress(self, now: SearchRecord, progress: Progress) -> None:
        """Show what goes on beside trials."""
        self.told = progress
        if len(self._shown) == self._shown_before:  # what comes before the first trial says nothing of others
            self._started = time.monotonic()
        if progress.stage != self._stage:
            self._stage = progress.stage
            self.stage(progress)

    def stage(self, progress: Progress) -> None:
        """A stage has begun."""
        count = f" ({progress.of})" if progress.of else ""
        if progress.stage:
            self._console.print(f"{progress.stage}{count}", highlight=False, soft_wrap=True)

    def _so_far(self, best: float | None) -> str:
        told = "" if best is None else f", best {best:.3f}"
        return f"  [dim]{len(self._shown)}/{self._trials}{told}{self.left()}[/dim]"

    def left(self) -> str:
        """The time that the trials left will take if they go on as they did."""
        done = len(self._shown) - self._shown_before
        if not done or len(self._shown) == self._trials:
            return ""
        seconds = (time.monotonic() - self._started) / done * (self._trials - len(self._shown))
        return f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"


class BarWatcher(Watcher):
    """With a bar that tells the stage."""

    def __init__(self, ledger: "Ledger", record: SearchRecord, console: "Console") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        super().__init__(ledger, record, console)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bar = Bar(*columns, console=console, transient=True)
        self._name = record.name
        self._task = self.bar.add_task(record.name, total=self._trials, completed=len(self._shown))

    def trials(self, now: SearchRecord) -> None:
        """Move the bar, too."""
        super().trials(now)
        self.bar.update(
            self._task, total=self._trials, completed=len(self._shown), description=f"{self._name}: trials"
        )

    def progress(self, now: SearchRecord, progress: Progress) -> None:
        """Tell the stage in the bar."""
        self.told = progress
        if progress.of:
            self.bar.update(
                self._task,
                total=progress.of,
                completed=progress.done,
                description=f"{self._name}: {progress.stage}",
            )
        elif progress.stage:
            self.bar.update(self._task, description=f"{self._name}: {progress.stage}")


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


def line(trial: TrialRecord) -> str:
    """A trial that has ended, with rich's markup."""
    from rich.markup import escape

    colour = COLOURS[trial.state]
    parts = [f"trial {trial.number:>4}  [{colour}]{trial.state:<10}[/{colour}]"]
    parts.append("accuracy  -   " if trial.accuracy is None else f"accuracy {trial.accuracy:.3f}")
    if trial.latency_ms is not None:
        how = "about " if trial.estimated else ""
        parts.append(f"latency {how}{milliseconds(trial.latency_ms)} ms")
    parts.append("" if trial.size_kb is None else f"size {trial.size_kb:.1f} kB")
    if trial.state is TrialState.FAILED:
        parts.append(escape(trial.error or ""))
    return "  ".join(parts)


def disturbance(drifts: Sequence[float], usual: float = 0.1) -> str | None:
    """In a sentence, how disturbed the device was; None where it was not."""
    slow = [drift for drift in drifts if drift > usual]
    if not slow:
        return None
    much = f"up to {max(slow):.0%}" if len(slow) > 1 else f"{slow[0]:.0%}"
    batches = f"{len(slow)} of {len(drifts)} batches of measurements"
    return f"The device was disturbed in {batches}: {much} slower than usual"

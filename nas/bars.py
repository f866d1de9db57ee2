"""A bar on a terminal for work that can be counted, and lines elsewhere; on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

LINE_EVERY_S = 15.0
"""Between lines of progress where there is no terminal."""

Show = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much."""
Showing = Callable[[], AbstractContextManager[Show]]
"""Shows progress as long as it is entered."""


@contextmanager
def show_nothing() -> Iterator[Show]:
    """Progress that nobody is told."""
    yield lambda *_: None


@contextmanager
def show_progress() -> Iterator[Show]:
    """A bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, count: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=count)
            bar.update(tasks[what], completed=done, total=count)

        yield show


@contextmanager
def show_on_terminal() -> Iterator[Show]:
    """A bar on a terminal, nothing elsewhere: for what takes seconds."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    with show_progress() as show:
        yield show


def _lines() -> Show:
    """Says what is done when something begins, and now and then when it goes on for long."""
    last: dict[str, float] = {}

    def show(what: str, done: int, count: int) -> None:
        now = time.monotonic()
        if count > done and now - last.get(what, -LINE_EVERY_S) >= LINE_EVERY_S:
            last[what] = now
            sys.stderr.write(f"{what}: {done} of {count}\n")

    return show


@contextmanager
def decoding() -> Iterator[Callable[[int, int], None]]:
    """The bar of ``show_progress`` while images are decoded, which is the first time that they are read."""
    with show_progress() as show:
        yield lambda done, of: show("decoding", done, of)

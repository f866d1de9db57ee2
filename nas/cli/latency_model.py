"""What the commands of ``nas latency`` share: the model of a device, a space by name, a bar of progress."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nas.cli.output import say
from search_spaces.errors import NoDeviceError

if TYPE_CHECKING:
    from latency import LatencyModel
    from latency.model.calibration import Progress

LINE_EVERY_S = 15.0
"""Between lines of progress where there is no terminal."""

device_option = click.option("--device", default="local", show_default=True, help="The device.")


@contextmanager
def open_model(
    storage: str, device: str, cooldown_s: float = 0.0, is_needed: bool = True, brief: bool = False
) -> "Iterator[LatencyModel]":
    """The model of a device; of one that is away and not needed, what was measured of it and estimates.

    ``brief``: what searches measured is good enough.
    """
    from latency import LatencyModel
    from nas.ledger import Ledger
    from nas.ledger.latencies import SqlLatencyTable
    from nas.measuring.devices import check_device, open_absent, open_device

    check_device(storage, device)
    with Ledger.open(storage, create=True) as ledger:
        found = open_device(ledger, device, cooldown_s)
        table = SqlLatencyTable(ledger)
        try:
            try:
                table.register(found.identity, target=found.target, description=found.describe())
            except NoDeviceError as error:
                if is_needed:
                    raise
                say(f"{error}; continuing with what was measured before")
                yield LatencyModel(open_absent(ledger, device), table, measure=False)
                return
            yield LatencyModel(found, table, brief=brief)
        finally:
            found.close()


def space_called(name: str) -> Any:
    """The search space of that name; InvalidInput where there is none."""
    from search_spaces.search_space import spaces

    return spaces.get(name)


@contextmanager
def show_progress() -> "Iterator[Progress]":
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
            bar.update(tasks[what], completed=done)

        yield show


def _lines() -> "Progress":
    """Says what is done when something begins, and now and then when it goes on for long."""
    last: tuple[str, float] = ("", 0.0)

    def show(what: str, done: int, count: int) -> None:
        nonlocal last
        now = time.monotonic()
        if count > done and (what != last[0] or now - last[1] >= LINE_EVERY_S):
            last = what, now
            say(f"{what}: {done} of {count}")

    return show

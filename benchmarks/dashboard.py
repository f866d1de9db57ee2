"""``python -m benchmarks.dashboard``: how long the page of a large search takes in a browser."""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.command import Command
from benchmarks.large_ledger import fill
from benchmarks.screenshot import ARGUMENTS
from search_spaces.errors import BitnasError

SIZE = {"width": 1280, "height": 900}
PATIENCE_MS = 120_000
NAME = "large"

# Milliseconds from asking for the page until something, and until the front, is on the screen.
OPENED = """async () => {
  const front = (await performance.getEntriesByName("bitnas.drawn"))[0].startTime;
  const paint = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  return { "first paint": paint, "front drawn": front };
}"""

# Milliseconds from what the reader does until the screen shows what follows.
ACTED = """async ([selector, value, event]) => {
  const element = document.querySelector(selector);
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  performance.clearMarks("bitnas.drawn");
  const began = performance.now();
  element.value = value;
  element.dispatchEvent(new Event(event, { bubbles: true }));
  while (!performance.getEntriesByName("bitnas.drawn").length) await painted();
  return performance.getEntriesByName("bitnas.drawn")[0].startTime - began;
}"""
SLIDER = "input[type=range][data-limit='{}']"
ACTIONS = {
    "limit of size": (SLIDER.format("size"), ["0.9", "0.7", "0.5", "0.3"], "input"),
    "limit of accuracy": (SLIDER.format("accuracy"), ["0.1", "0.2", "0.3", "0.4"], "input"),
    "another axis": ("select[data-key=x]", ["size", "latency", "size", "latency"], "change"),
    "another colour": ("select[data-key=colour]", ["state", "latency", "size", "accuracy"], "change"),
}
PAUSE_MS = 2_000  # the views below follow a moment later, and are no part of the next action


@click.command(cls=Command)
@click.option("--trials", type=click.IntRange(10), default=10_000, show_default=True, help="In the search.")
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), help="Filled by large_ledger.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Openings.")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def main(trials: int, ledger: Path | None, rounds: int, as_json: bool) -> None:
    """Open the page of a large search in Chromium, move its limits and axes, and tell the times.

    The first round is with a server that has just begun, so it reads the whole search from the ledger.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = ledger or Path(folder) / "large.db"
        storage = f"sqlite:///{path}"
        if ledger is None:
            fill(storage, NAME, trials)
        found = _measured(storage, rounds)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        Console().print(_table(found))


def _measured(storage: str, rounds: int) -> dict[str, Any]:
    """Milliseconds by what was waited for, and the server's memory."""
    with _served(storage) as (address, process), _browser() as browser:
        times: dict[str, list[float]] = {}
        for number in range(rounds):
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(PATIENCE_MS)
            page.goto(f"{address}search/{NAME}")
            page.wait_for_function("performance.getEntriesByName('bitnas.drawn').length")
            for name, taken in page.evaluate(OPENED).items():
                times.setdefault(name if number else f"{name}, server just begun", []).append(taken)
            page.wait_for_timeout(PAUSE_MS)
            for name, (selector, values, event) in ACTIONS.items():
                for value in values:
                    times.setdefault(name, []).append(page.evaluate(ACTED, [selector, value, event]))
                    page.wait_for_timeout(PAUSE_MS)
            page.close()
        return {"milliseconds": times, "server_mb": _peak_mb(process)}


@contextmanager
def _served(storage: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of ``nas dashboard`` in a process of its own."""
    command = [sys.executable, "-m", "nas.cli.main", "dashboard", "--storage", storage, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            match = re.search(r"http://\S+", line)
            if match is None:
                raise BitnasError(f"the dashboard did not begin: {line.strip()}")
            yield match[0], process
        finally:
            process.terminate()


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        found = shutil.which("chromium")  # or the one that `playwright install` brings
        browser = tools.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


def _peak_mb(process: "subprocess.Popen[str]") -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 / 1e6 if match else float("nan")


def _table(found: Mapping[str, Any]) -> Table:
    table = Table("waited for", "median ms", "longest ms", "times")
    for name, times in found["milliseconds"].items():
        table.add_row(name, f"{statistics.median(times):.0f}", f"{max(times):.0f}", str(len(times)))
    table.caption = f"The server took {found['server_mb']:.0f} MB at most."
    return table


if __name__ == "__main__":
    main()

"""What commands print: tables or JSON to stdout, everything else to stderr."""

import json
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from nas.training.loop import Epoch

STATE_STYLES = {
    "complete": "green",
    "running": "cyan",
    "queued": "dim",
    "paused": "blue",
    "infeasible": "red",
    "pruned": "yellow",
    "failed": "magenta",
    "working": "green",
    "idle": "dim",
    "waiting": "yellow",
    "silent": "red",
    "dead": "red",
    "left": "dim",
}


class Column(NamedTuple):
    """The head of a column; figures are aligned to the right."""

    title: str
    right: bool = False


Rows = Sequence[Sequence[str]]


def print_json(value: Any) -> None:
    """Write ``value`` as JSON; NaN and infinity, which are not JSON, are refused."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def say(message: str) -> None:
    """Tell the user something that is not data, on stderr."""
    click.echo(message, err=True)


def tell_epoch(epoch: "Epoch", of: int) -> None:
    """Tell of an epoch of a training, and of how many."""
    right = "" if epoch.accuracy is None else f"  accuracy {epoch.accuracy:.4f}"
    number = f"{epoch.epoch:>{len(str(of))}} of {of}"
    say(f"epoch {number}  loss {epoch.train_loss:.4f}{right}  {epoch.seconds:.1f} s")


def quoted(path: object) -> str:
    """A path as a shell takes it, for a command to be typed next."""
    return shlex.quote(str(path))


def print_table(columns: Sequence[Column], rows: Rows, title: str = "") -> None:
    """Write a rich table to a terminal, and plain aligned text to anything else."""
    cleaned = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, cleaned, title)
    else:
        _print_plain(columns, cleaned, title)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and values, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        label = click.style(f"{name:<{width}}", dim=True)
        click.echo(f"{label}  {printable(value)}")


def printable(text: str) -> str:
    """``text`` in one line and without control characters, which could drive the reader's terminal."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") else c for c in text)


def _print_plain(columns: Sequence[Column], rows: Rows, title: str) -> None:
    lines = [[column.title for column in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    if title:
        click.echo(f"\n{title}")
    for line in lines:
        cells = zip(line, widths, columns, strict=True)
        text = "  ".join(cell.rjust(width) if c.right else cell.ljust(width) for cell, width, c in cells)
        click.echo(text.rstrip())


def _print_rich(columns: Sequence[Column], rows: Rows, title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, header_style="bold", title=title or None, title_justify="left", pad_edge=False
    )
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        # Text, not markup: brackets in a name are brackets.
        table.add_row(*(Text(cell, style=STATE_STYLES.get(cell, "")) for cell in row))
    Console(file=sys.stdout, width=max(60, shutil.get_terminal_size().columns)).print(table)

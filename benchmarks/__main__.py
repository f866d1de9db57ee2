"""``python -m benchmarks``: measures every row, prints the table, and keeps it in this machine's own file."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import page, recorded
from benchmarks.command import Command, NewFile, require_runs
from benchmarks.engine_rows import ENGINES
from benchmarks.engines.keeping import run_kept
from benchmarks.race import Effort
from benchmarks.rivals import WrongResultError
from benchmarks.rows import Row, Rows, groups
from search_spaces.errors import BitnasError, InvalidInput


@click.command(cls=Command)
@click.option("--only", default="", help="Measure only the groups of rows whose name holds this.")
@click.option("--quick", is_flag=True, help="A single short round: checks results, its times mean little.")
@click.option(
    "--least", is_flag=True, help="The least of short turns in place of medians, where other work runs."
)
@click.option("--target", default="native", show_default=True, help="What our kernels are compiled for.")
@click.option("--engines", default=sys.executable, metavar="PYTHON", help=f"Has {', '.join(ENGINES)}.")
@click.option("--litert-torch", default=sys.executable, metavar="PYTHON", help="Has litert-torch.")
@click.option("--json", "path", type=NewFile(), help="Write the table here, too.")
@click.option("--record", is_flag=True, help="Keep the rows in the table of this CPU and target.")
@click.option("--remark", help="With --record: what a reader should know of this CPU's figures.")
@click.option("--docs", is_flag=True, help="Measure nothing; write the tables into the pages of docs/.")
def main(
    only: str,
    quick: bool,
    least: bool,
    target: str,
    engines: str,
    litert_torch: str,
    path: Path | None,
    record: bool,
    remark: str | None,
    docs: bool,
) -> None:
    """Our kernels and networks beside their rivals: ratios from one run on one thread.

    Wrong results end it with exit code 1; a ratio that is not reached does not.
    """
    if docs:
        page.write(page.DOCS, recorded.tables())
        return
    chosen = {name: rows for name, rows in groups.items() if only in name}
    if not chosen:
        raise InvalidInput("only", f"no group holds '{only}'", f"choose from {', '.join(groups)}")
    if quick and record:
        raise InvalidInput("record", "times of --quick mean little", "leave one of the two out")
    if remark is not None and not record:
        raise InvalidInput("remark", "it is kept with the rows of a table", "give --record, too")
    for name, python in (("engines", engines), ("litert_torch", litert_torch)):
        if shutil.which(python) is None:
            raise InvalidInput(name, f"there is no program '{python}'", "name the Python of an environment")
    require_runs(target)
    usual = Effort(target=target, engines=engines, litert_torch=litert_torch)
    if least:
        usual = usual.undisturbed
    effort = replace(usual, rounds=1, sample_ms=0.5) if quick else usual
    machine = recorded.this_machine(target)
    found = list(_measured(chosen, effort, machine if record else None, remark))
    console = Console(width=None if Console().is_terminal else 120)
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    kept = ", rivals kept to it" if machine.is_kept else ""
    console.print(f"{machine.cpu}, {machine.llvm_cpu}, compiled for {machine.target}{kept}, {versions}")
    console.print(table(found))
    for name, why in {name: why for row in found for name, why in row.notes.items()}.items():
        click.echo(f"{name} was not run: {why}", err=True)
    if path is not None:
        rows_json = [asdict(row) | {"is_met": row.is_met} for row in found]
        told = {"date": recorded.today(), "machine": asdict(machine), "rows": rows_json}
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _measured(
    chosen: dict[str, Rows], effort: Effort, machine: recorded.Machine | None, remark: str | None
) -> Iterator[Row]:
    """The rows of each group, kept for the machine if one is given."""
    progress = Console(stderr=True)
    for name, rows in chosen.items():
        if progress.is_terminal:
            progress.print(f"[dim]{name} ...[/dim]")
        try:
            found = list(rows(effort))
        except WrongResultError as error:
            raise click.ClickException(f"wrong result: {error}") from error
        if machine is not None:
            recorded.record(machine, name, found, remark)
        yield from found


def table(rows: list[Row]) -> Table:
    """The rows as they are printed."""
    shown = Table(box=None, header_style="bold")
    shown.add_column("what")
    for column in ("found", "asked", ""):
        shown.add_column(column, justify="right")
    for row in rows:
        asked = f"{'at most ' if row.at_most else ''}{row.required:g}"
        shown.add_row(row.name, f"{row.found:.2f}", asked, "met" if row.is_met else "[bold]NOT MET[/bold]")
    return shown


def run_again(arguments: list[str]) -> None:
    """For an older target, run in a process whose rivals see no newer instructions, and exit as it does."""
    given = main.make_context("benchmarks", list(arguments), resilient_parsing=True).params
    with suppress(BitnasError):  # which ``main`` tells
        code = run_kept(given["target"], [sys.executable, "-m", "benchmarks", *arguments])
        if code is not None:
            sys.exit(code)


if __name__ == "__main__":
    run_again(sys.argv[1:])
    main()

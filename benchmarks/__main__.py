"""``python -m benchmarks``: measures every row, prints the table and writes it as JSON."""

import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.race import Effort
from benchmarks.rivals import WrongResultError
from benchmarks.rows import Row, groups
from latency import device

PACKAGES = ("apache-tvm", "onnxruntime", "torch", "numkong")


def machine() -> dict[str, str]:
    """What the figures depend on."""
    known = device("local").describe()
    versions = {name: version(name) for name in PACKAGES}
    date = datetime.now(UTC).isoformat(timespec="minutes")
    return {
        "cpu": str(known["cpu"]),
        "llvm_cpu": str(known["llvm_cpu"]),
        "python": platform.python_version(),
        **versions,
        "date": date,
    }


@click.command()
@click.option("--only", default="", help="Measure only the groups of rows whose name holds this.")
@click.option("--quick", is_flag=True, help="A single short round: checks results, its times mean little.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the table here, too.")
def main(only: str, quick: bool, path: Path | None) -> None:
    """Our kernels and networks beside their rivals: ratios from one run on one thread.

    Wrong results end it with exit code 1; a ratio that is not reached does not.
    """
    effort = Effort(rounds=1, sample_ms=0.5) if quick else Effort()
    chosen = {name: rows for name, rows in groups.items() if only in name}
    if not chosen:
        raise click.BadParameter(
            f"no group holds '{only}'; choose from {', '.join(groups)}", param_hint="--only"
        )
    progress, found = Console(stderr=True), []
    try:
        for name, rows in chosen.items():
            if progress.is_terminal:
                progress.print(f"[dim]{name} ...[/dim]")
            found += rows(effort)
    except WrongResultError as error:
        raise click.ClickException(f"wrong result: {error}") from error
    about = machine()
    if path is not None:
        rows_json = [asdict(row) | {"is_met": row.is_met} for row in found]
        path.write_text(json.dumps({"machine": about, "rows": rows_json}, indent=1) + "\n", encoding="utf-8")
    console = Console(width=None if Console().is_terminal else 120)
    console.print(", ".join(f"{k} {v}" for k, v in about.items()))
    console.print(table(found))


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


if __name__ == "__main__":
    main()

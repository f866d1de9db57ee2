"""``nas export-runs``: a search's trials as runs, for who looks at them in MLflow or TensorBoard."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.options import storage_option
from nas.cli.output import quoted, say
from nas.cli.reading import opened
from nas.formatting import counted
from search_spaces.errors import InvalidInput, Parameter

if TYPE_CHECKING:
    from nas.export.runs import OnRun, Runs, Written

FOLDER = click.Path(path_type=Path)


@click.command("export-runs")
@click.argument("search")
@click.option("--mlflow", type=FOLDER, metavar="DIR", help="Write runs for MLflow there.")
@click.option("--tensorboard", type=FOLDER, metavar="DIR", help="Write runs for TensorBoard there.")
@storage_option
def export_runs(search: str, mlflow: Path | None, tensorboard: Path | None, storage: str) -> None:
    """Write every trial of SEARCH that has begun as a run of MLflow or TensorBoard.

    A second call adds what is new and brings up to date what has changed. Nothing goes over a network.
    """
    if mlflow is None and tensorboard is None:
        raise InvalidInput("mlflow", "no folder is given", ("give it, or ", Parameter("tensorboard", "DIR")))
    from nas.export.runs import runs_of
    from nas.export.runs_mlflow import DATABASE, write_mlflow
    from nas.export.runs_tensorboard import write_tensorboard

    with opened(storage) as ledger:
        runs = runs_of(ledger, search)
        if mlflow is not None:
            _write(write_mlflow, runs, mlflow)
            store = f"sqlite:///{(mlflow / DATABASE).resolve()}"
            say(f"Next: mlflow ui --backend-store-uri {quoted(store)}")
        if tensorboard is not None:
            _write(write_tensorboard, runs, tensorboard)
            say(f"Next: tensorboard --logdir {quoted(tensorboard)}")


def _write(write: "Callable[[Runs, Path, OnRun], Written]", runs: "Runs", folder: Path) -> None:
    from nas.bars import show_progress

    with show_progress() as show:
        done = write(runs, folder, lambda at, of: show("writing runs", at, of))
    say(f"{folder}: {counted(done.added, 'run')} added, {done.changed} changed, {done.kept} as they were")

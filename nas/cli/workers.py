"""``nas workers``: who works on a search, on what, and who has gone silent."""

from typing import TYPE_CHECKING

import click

from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say
from nas.cli.reading import opened
from nas.formatting import MISSING, lasting
from nas.hints import command

if TYPE_CHECKING:
    from nas.ledger.roster import WorkerRecord

COLUMNS = (
    *(Column("worker"), Column("state"), Column("at work on"), Column("joined (UTC)")),
    *(Column("last sign of life", right=True), Column("bitnas")),
)


@click.command()
@click.argument("search")
@click.option("--all", "is_all", is_flag=True, help="Also those that have left, or are silent for an hour.")
@storage_option
@json_option
def workers(search: str, is_all: bool, storage: str, as_json: bool) -> None:
    """List who works on SEARCH: each process, its machine, and what it is at.

    One that gives no sign of life for a minute is silent: others take its trial. A dead one was a process of
    this machine.
    """
    from nas.ledger.roster import Roster

    with opened(storage) as ledger:
        found = [worker for worker in Roster(ledger, search).workers() if is_all or not worker.is_gone]
        is_finished = ledger.search(search).finished
    if as_json:
        print_json([worker.to_dict() for worker in found])
    elif found:
        print_table(COLUMNS, [_row(worker) for worker in found])
    elif is_finished:
        say(f"Nobody works on '{search}': it is finished. Next: {command('pareto', search, storage=storage)}")
    else:
        say(f"Nobody works on '{search}'. Next: {command('worker', search, storage=storage)}")


def _row(worker: "WorkerRecord") -> list[str]:
    joined = worker.joined_at.strftime("%Y-%m-%d %H:%M")
    ago, version = f"{lasting(worker.silent_s)} ago", worker.versions.get("bitnas", MISSING)
    return [worker.label, worker.state, _task(worker), joined, ago, version]


def _task(worker: "WorkerRecord") -> str:
    """The trial and its epoch, and what goes on beside trials."""
    parts = [worker.stage]
    if worker.trial is not None:
        parts.append(f"trial {worker.trial}")
    if worker.epochs is not None:
        parts.append(f"epoch {min((worker.epoch or 0) + 1, worker.epochs)} of {worker.epochs}")
    return ", ".join(filter(None, parts)) or MISSING

"""``nas workers``: who works on a search, on what, and who has gone silent."""

from typing import TYPE_CHECKING

import click

from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say
from nas.cli.reading import opened
from nas.formatting import MISSING, lasting
from nas.hints import command, typed_again

if TYPE_CHECKING:
    from nas.ledger.records import SearchRecord
    from nas.ledger.roster import HeldTrial, WorkerRecord

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
    from nas.ledger.roster import Roster, WorkerState

    with opened(storage) as ledger:
        record, found = ledger.search(search), Roster(ledger, search).workers()
    if not is_all:
        found = [worker for worker in found if not worker.is_gone]
        if record.finished:  # nobody waits for those that died before
            found = [worker for worker in found if worker.state is not WorkerState.DEAD]
    if as_json:
        print_json([worker.to_dict() for worker in found])
    elif found:
        print_table(COLUMNS, [_row(worker) for worker in found])
    elif record.finished:
        say(f"Nobody works on '{search}': it is finished. Next: {command('pareto', search, storage=storage)}")
    elif record.origin.steps:
        say(f"Nobody works on '{search}'; {typed_again(record.origin.steps['command'])}.")
    else:
        say(f"Nobody works on '{search}'. Next: {_to_join(record, storage)}")


def _to_join(record: "SearchRecord", storage: str) -> str:
    """What to type to work on a search, with the plug-in that it needs and this process lacks."""
    from nas.searching.needs import missing_of

    lacks = any(missing_of(record.config).values())
    return command("worker", record.name, storage=storage, lacks_plugin=lacks)


def _row(worker: "WorkerRecord") -> list[str]:
    joined = worker.joined_at.strftime("%Y-%m-%d %H:%M")
    ago, version = f"{lasting(worker.silent_s)} ago", worker.versions.get("bitnas", MISSING)
    return [worker.label, worker.state, _task(worker), joined, ago, version]


def _task(worker: "WorkerRecord") -> str:
    """The trials and their epochs, and what goes on beside trials."""
    return "; ".join(filter(None, [worker.stage, *map(_trial, worker.trials)])) or MISSING


def _trial(held: "HeldTrial") -> str:
    if held.epochs is None:
        return f"trial {held.number}"
    return f"trial {held.number}, epoch {min((held.epoch or 0) + 1, held.epochs)} of {held.epochs}"

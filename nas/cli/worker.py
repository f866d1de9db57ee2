"""``nas worker``: work on a search that is in the database, from this machine, beside whoever else does."""

import click

from nas.cli.options import json_option, storage_option
from nas.cli.output import say
from nas.formatting import counted
from nas.hints import command
from nas.ledger.records import SearchRecord


@click.command()
@click.argument("search")
@click.option("--workers", type=int, default=1, show_default=True, help="How many trials run at once here.")
@click.option("--minutes", type=float, metavar="X", help="Begin no trial after so many minutes.")
@click.option("--verbose", is_flag=True, help="Say when the device was disturbed.")
@storage_option
@json_option
def worker(
    search: str, workers: int, minutes: float | None, verbose: bool, storage: str, as_json: bool
) -> None:
    """Work on SEARCH, a search of the database, beside whoever else does.

    It takes one trial after the other until none is left, and times what is to be timed. Ctrl-C and SIGTERM
    put back what was begun, for others to take.
    """
    from nas.cli.search_report import report
    from nas.searching.checking import check_run
    from nas.searching.creating import join

    check_run(workers, minutes=minutes)
    record = join(storage, search)
    say(_told(record, storage))
    _work(record.name, storage, workers, minutes, verbose)
    report(storage, record.name, as_json)


def _told(record: SearchRecord, storage: str) -> str:
    """How the search stands as this machine joins."""
    from nas.ledger import Ledger, Worker
    from nas.ledger.claims import Claims

    left = sum(count for state, count in record.counts.items() if not state.finished)
    with Ledger.open(storage) as ledger:
        others = Claims(ledger, record.name, Worker.this_process()).at_work()
    beside = f", beside {', '.join(others)}" if others else ""
    return f"Joining '{record.name}': {left} of {counted(record.trials, 'trial')} left{beside}"


def _work(name: str, storage: str, workers: int, minutes: float | None, verbose: bool) -> None:
    from nas.searching.shown import run_shown

    try:
        spent = run_shown(storage, name, workers, progress=True, verbose=verbose, minutes=minutes)
    except KeyboardInterrupt:
        again = command("worker", name, storage=storage)
        say(f"\nWhat was begun here is put back, for others to take; join again with: {again}")
        raise click.Abort from None
    for sentence in spent.sentences("--verbose"):
        say(sentence)

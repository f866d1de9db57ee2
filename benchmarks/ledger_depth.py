"""``python -m benchmarks.ledger_depth``: what one more trial takes of a ledger that has many already."""

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, select, update

from benchmarks.command import NewFile
from benchmarks.ledger import Work, run_one
from nas.analysis.standing import Standing
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.history import History
from nas.ledger.tables import Epoch, Search, Trial
from nas.ledger.tally import Tally

MORE = 50
"""Trials that are timed."""
ALIKE = {"id", "number", "digest", "revision", "search_id"}
"""Columns in which trials differ."""


def filled(storage: str, trials: int) -> None:
    """A ledger with a search of so many complete trials, and ``MORE`` that are queued."""
    config = SearchConfig("tiny", "digits", "local", trials=trials + MORE, epochs=3)
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
        run_one(Claims(ledger, "demo", Worker.this_process()), Work())
        with ledger.writing() as session:
            _copy_first(session, trials)


def _copy_first(session: Any, trials: int) -> None:
    """Give the trials after the first all that it has, each with its own digest and accuracy."""
    first = session.scalars(select(Trial).where(Trial.number == 0)).one()
    columns = [column.key for column in Trial.__table__.columns if column.key not in ALIKE]
    same = {name: getattr(first, name) for name in columns}
    ids = dict(session.execute(select(Trial.number, Trial.id)).all())
    rows = [
        {
            "id": ids[number],
            **same,
            "digest": f"{number:064x}",
            "latency_ms": 1.0 + number,
            "accuracy": number * 7919 % 100_003 / 100_003,
            "revision": number + 10,
        }
        for number in range(1, trials)
    ]
    session.execute(update(Trial), rows)
    session.execute(update(Search).values(revision=trials + 10))
    epochs = session.execute(select(Epoch.__table__).where(Epoch.trial_id == first.id)).mappings().all()
    kept = [{name: value for name, value in epoch.items() if name != "id"} for epoch in epochs]
    copies = [{**epoch, "trial_id": ids[number]} for number in range(1, trials) for epoch in kept]
    session.execute(insert(Epoch), copies)


def measured(storage: str) -> dict[str, float]:
    """Milliseconds of wall and CPU a trial, with all that a worker and who watches it ask of the ledger.

    Then, in seconds, what lists of all trials take.
    """
    with Ledger.open(storage) as ledger:
        config = ledger.search("demo").config
        claims, history = Claims(ledger, "demo", Worker.this_process()), History(ledger, "demo")
        history.refresh()
        tally, watched, standing = Tally(ledger, "demo"), History(ledger, "demo"), Standing(config)
        standing.take_all(watched.refresh())
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(MORE):
            assert not ledger.search("demo").finished
            history.refresh()
            assert run_one(claims, Work())
            tally.refresh()
            standing.take_all(watched.refresh())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found = {"ms_per_trial": 1000 * wall / MORE, "cpu_ms_per_trial": 1000 * cpu / MORE}
        found["counts_s"] = _seconds(lambda: ledger.search("demo").counts[TrialState.COMPLETE])
        found["front_s"] = _seconds(lambda: ledger.front("demo"))
        found["trials_s"] = _seconds(lambda: ledger.trials("demo"))
    return {name: round(value, 4) for name, value in found.items()}


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@click.command()
@click.option("--trials", type=click.IntRange(2), multiple=True, default=(1_000, 10_000), show_default=True)
@click.option("--json", "path", type=NewFile(), help="Write the figures here, too.")
def main(trials: tuple[int, ...], path: Path | None) -> None:
    """What a trial takes of a SQLite ledger with so many trials, and what its lists take."""
    found = {}
    for count in trials:
        with tempfile.TemporaryDirectory() as folder:
            storage = f"sqlite:///{folder}/nas.db"
            filled(storage, count)
            found[count] = measured(storage)
    table = Table("trials", *next(iter(found.values())))
    for count, figures in found.items():
        table.add_row(f"{count:,}", *map(str, figures.values()))
    Console().print(table)
    if path is not None:
        record = {"date": datetime.now(UTC).isoformat(timespec="minutes"), "trials": found}
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

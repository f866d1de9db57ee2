"""``python -m benchmarks.large_ledger FILE.db``: a ledger with a large search, to look at."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import log2
from pathlib import Path
from random import Random
from typing import Any

import click
from sqlalchemy import insert, select, update

from benchmarks.command import Command
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.store import find_id
from nas.ledger.tables import Epoch, Search, Trial
from search_spaces import size, space
from search_spaces.architecture import Architecture

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
WORKERS = 4
SHARES = {
    TrialState.COMPLETE: 0.55,
    TrialState.PRUNED: 0.3,
    TrialState.INFEASIBLE: 0.13,
    TrialState.FAILED: 0.02,
}


def fill(storage: str, name: str, trials: int, space_name: str = "cifar", seed: int = 0) -> None:
    """Write a search of so many ended trials; sizes are true, times and accuracies are made up."""
    config = SearchConfig(
        space_name,
        "cifar10",
        "local",
        trials=trials,
        epochs=9,
        pruner="halving",
        max_size_kb=200.0,
        seed=seed,
    )
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search(name, config)
        search_id = find_id(ledger, name)
        with ledger.writing() as session:
            ids = dict(
                session.execute(select(Trial.number, Trial.id).where(Trial.search_id == search_id)).all()
            )
            made = list(_trials(space_name, trials, Random(seed)))
            rows = [{"id": ids[row["number"]], **row, "revision": row["number"] + 1} for row, _ in made]
            session.execute(update(Trial), rows)
            session.execute(update(Search).where(Search.id == search_id).values(revision=trials + 1))
            epochs = [{"trial_id": ids[row["number"]], **epoch} for row, curve in made for epoch in curve]
            session.execute(insert(Epoch), epochs)


def _trials(
    space_name: str, trials: int, random: Random
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The columns of each trial, and its epochs."""
    of, free = space(space_name), [BEGUN] * WORKERS
    owners = [Worker("bench", "", 100 + index, 1).to_text() for index in range(WORKERS)]
    for number in range(trials):
        choices: dict[str, Any] = {}

        def choose(name: str, options: tuple[Any, ...], kept: dict[str, Any] = choices) -> Any:
            kept[name] = random.choice(options)
            return kept[name]

        architecture = of.propose(choose)
        assert isinstance(architecture, Architecture)
        kilobytes = size(architecture).kilobytes
        state = _state(number, kilobytes, random)
        reached = min(0.94, 0.55 + 0.04 * log2(max(kilobytes, 1.0)) + random.gauss(0, 0.03))
        latency = 0.02 + kilobytes**0.7 * random.uniform(0.004, 0.008)
        done = {TrialState.COMPLETE: 9, TrialState.PRUNED: random.choice((1, 3)), TrialState.FAILED: 1}.get(
            state, 0
        )
        curve = [_epoch(epoch, reached, random) for epoch in range(1, done + 1)]
        which = min(range(WORKERS), key=lambda index: free[index])
        began = free[which]
        free[which] = began + timedelta(seconds=2.0 + sum(epoch["seconds"] for epoch in curve))
        yield (
            {
                "number": number,
                "state": state,
                "choices": choices,
                "architecture": architecture.to_json(),
                "digest": f"{random.getrandbits(256):064x}",
                "latency_ms": latency,
                "latency_low_ms": 0.93 * latency,
                "latency_high_ms": 1.07 * latency,
                "size_kb": kilobytes,
                "accuracy": curve[-1]["accuracy"] if state is TrialState.COMPLETE else None,
                "epochs_done": done or None,
                "error": "RuntimeError: the loss is not finite" if state is TrialState.FAILED else None,
                "owner": owners[which],
                "started_at": began,
                "finished_at": free[which],
            },
            curve,
        )


def _state(number: int, kilobytes: float, random: Random) -> TrialState:
    if kilobytes > 200:
        return TrialState.INFEASIBLE
    (state,) = random.choices(list(SHARES), weights=list(SHARES.values()))
    return TrialState.COMPLETE if number < 4 or state is TrialState.INFEASIBLE else state


def _epoch(epoch: int, reached: float, random: Random) -> dict[str, Any]:
    accuracy = max(0.1, reached - 0.3 / epoch + random.gauss(0, 0.005))
    return {"epoch": epoch, "train_loss": 2.0 / epoch, "accuracy": accuracy, "seconds": random.uniform(3, 9)}


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, exists=False))
@click.option("--trials", default=10_000, show_default=True, help="How many trials the search has.")
@click.option("--name", default="large", show_default=True, help="What the search is called.")
def main(file: Path, trials: int, name: str) -> None:
    """Write a search of made-up trials into the ledger FILE, which is made if it is not there."""
    fill(f"sqlite:///{file}", name, trials)


if __name__ == "__main__":
    main()

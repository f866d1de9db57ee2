"""``python -m benchmarks.ledger``: many processes that do nothing but claim trials and end them."""

import json
import multiprocessing
import platform
import sqlite3
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.command import Command, NewFile
from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost

FORK = multiprocessing.get_context("fork")  # a fresh Python for each of 64 processes takes minutes
EPOCHS = 3
WEIGHTS = bytes(20_000)
KERNELS = [(f"conv2d_nhwc(n=1, h=32, w=32, c=16, k=3, stride=1, code={i})", 0.01) for i in range(40)]
ARCHITECTURE = json.dumps(
    [{"block": "inverted", "width": 16, "precision": "binary", "n": i} for i in range(30)]
)


@dataclass
class Work:
    """What one process did, in seconds: each claim, and all that a trial took.

    Attributes:
        numbers: of the trials that it claimed.
        errors: what surfaced.
    """

    numbers: list[int] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def work(storage: str, begin: Barrier, done: "Queue[Work]") -> None:
    """Claim trials and end them until none is left."""
    found = Work()
    with Ledger.open(storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        begin.wait()
        try:
            while run_one(claims, found):
                pass
        except Exception as error:  # it is what is counted
            found.errors.append(repr(error))
    done.put(found)


def run_one(claims: Claims, found: Work) -> bool:
    """One trial from its claim to its end; whether there was one."""
    started = time.perf_counter()
    claim = claims.claim()
    if claim is None:
        return False
    found.claims.append(time.perf_counter() - started)
    number = claim.trial.number
    found.numbers.append(number)
    digest = f"{number:064x}"
    cost = Cost(latency_ms=1.0 + number, size_kb=10.0, latency_by_workload=KERNELS, measuring_s=0.1)
    choices: dict[str, str | int] = {f"{i}.width": i for i in range(20)}
    claims.propose(claim, choices=choices, architecture=ARCHITECTURE, digest=digest, cost=cost)
    for epoch in range(1, EPOCHS + 1):
        claims.record_epoch(claim, EpochRecord(epoch, 1.0, 0.5, 0.1))
    claims.finish(claim, TrialState.COMPLETE, accuracy=(number * 7919 % 1000) / 1000, weights=WEIGHTS)
    found.seconds.append(time.perf_counter() - started)
    return True


def run(storage: str, processes: int, each: int) -> dict[str, Any]:
    """The whole of it: what it came to."""
    config = SearchConfig("tiny", "digits", "local", trials=processes * each, epochs=EPOCHS)
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
    begin, done = FORK.Barrier(processes + 1), FORK.Queue()
    workers = [FORK.Process(target=work, args=(storage, begin, done)) for _ in range(processes)]
    for process in workers:
        process.start()
    begin.wait()
    started = time.perf_counter()
    found = [done.get() for _ in workers]
    seconds = time.perf_counter() - started
    for process in workers:
        process.join()
    with Ledger.open(storage) as ledger:
        complete = ledger.search("demo").counts[TrialState.COMPLETE]
    return summary(found, seconds, complete)


def summary(found: list[Work], seconds: float, complete: int) -> dict[str, Any]:
    """Figures of all processes together."""
    numbers = [number for work in found for number in work.numbers]
    shares = sorted(len(work.numbers) for work in found)
    trials = [each for work in found for each in work.seconds]
    claims = [each for work in found for each in work.claims]
    return {
        "processes": len(found),
        "trials": complete,
        "seconds": round(seconds, 2),
        "trials_per_s": round(complete / seconds, 1),
        "ms_per_trial": round(1000 * seconds / complete, 2),
        "ms_in_the_ledger_per_trial": round(1000 * statistics.fmean(trials), 1),
        "slowest_claim_s": round(max(claims), 3),
        "trials_per_process": {"min": shares[0], "median": statistics.median(shares), "max": shares[-1]},
        "double_claims": len(numbers) - len(set(numbers)),
        "errors": [error for work in found for error in work.errors],
    }


@click.command(cls=Command)
@click.option("--storage", metavar="URL", help="An empty database; a SQLite file that is thrown away, else.")
@click.option("--processes", type=click.IntRange(1), default=16, show_default=True)
@click.option(
    "--each", type=click.IntRange(1), default=500, show_default=True, help="Trials for each process."
)
@click.option("--json", "path", type=NewFile(), help="Write the figures here, too.")
def main(storage: str | None, processes: int, each: int, path: Path | None) -> None:
    """How many trials a second a ledger takes, from claim to end, and how evenly processes get them.

    Exit code 1 where a trial was claimed twice, is not complete, or an error surfaced.
    """
    with ExitStack() as kept:
        if storage is None:
            folder = kept.enter_context(tempfile.TemporaryDirectory())
            storage = f"sqlite:///{folder}/nas.db"
        found = run(storage, processes, each)
    kind = storage.partition(":")[0]
    about = {"database": kind, "sqlite": sqlite3.sqlite_version, "python": platform.python_version()}
    found |= {**about, "date": datetime.now(UTC).isoformat(timespec="minutes")}
    text = json.dumps(found, indent=2)
    Console().print_json(text)
    if path is not None:
        path.write_text(f"{text}\n", encoding="utf-8")
    if found["double_claims"] or found["errors"] or found["trials"] != processes * each:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.search.speed``: what ask and tell take with 100 to 10,000 trials in the ledger."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.blocks import write_block
from benchmarks.command import Command
from benchmarks.search import page
from benchmarks.search.contenders import distinct_names
from benchmarks.search.made_up import CONFIG, MadeUpCosting, cost, fill, proposed, screen
from nas.algorithms.base import Algorithm
from nas.algorithms.choosing import algorithm
from nas.ledger.claims import Claims
from nas.ledger.history import History
from nas.ledger.records import TrialState
from nas.ledger.store import Ledger
from nas.ledger.workers import Worker
from nas.trials.proposing import PassedOver, Proposer
from search_spaces.search_space import space


@dataclass(frozen=True)
class Speed:
    """CPU milliseconds, with the ledger's reads: of a worker's first ask and tell, and of those after it."""

    contender: str
    trials: int
    first_ms: float
    median_ms: float
    most_ms: float


@click.command(cls=Command)
@click.option("--counts", default="100,1000,10000", help="Finished trials in the ledger.")
@click.option("--only", multiple=True, metavar="NAME", help="An algorithm; may be given again.")
@click.option("--asks", default=8, help="Trials that are timed.")
@click.option("--docs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The page.")
def main(counts: str, only: tuple[str, ...], asks: int, docs: Path | None) -> None:
    """Fill a ledger with made-up trials of `cifar`, then go on by each algorithm in turn."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, counts.split(",")):
            with Ledger.open(f"sqlite:///{folder}/{count}.db", create=True) as ledger:
                for name in only or distinct_names():
                    found.append(timed(ledger, name, count, asks))
                    click.echo(f"{name} {count}: {found[-1].median_ms:.1f} ms", err=True)
    told = markdown(found)
    click.echo(told)
    if docs is not None:
        write_block(docs, "speed", f"{page.told_by('python -m benchmarks.search.speed')}\n\n{told}")


def timed(ledger: Ledger, name: str, count: int, asks: int) -> Speed:
    """Go on with a search of so many finished trials, as a worker that starts."""
    search = f"{name}-{count}"
    fill(ledger, search, replace(CONFIG, sampler=name, trials=count + asks + 1), count)
    loop = _Loop(ledger, search)
    first, *others = [loop.trial() for _ in range(asks + 1)]
    return Speed(name, count, first, median(others), max(others))


class _Loop:
    """Runs trials without training: only what the algorithm and its reads take is timed."""

    def __init__(self, ledger: Ledger, search: str) -> None:
        self._claims = Claims(ledger, search, Worker.this_process())
        config = ledger.search(search).config
        self._history = History(ledger, search)
        self._algorithm: Algorithm = algorithm(space(config.space), config)
        self._algorithm.screen = screen
        costing: Any = MadeUpCosting()
        self._proposer = Proposer(space(config.space), config, self._algorithm, costing, self._history)
        self._spent = 0.0

    def trial(self) -> float:
        """One trial; milliseconds of the processor."""
        self._spent = 0.0
        claim = self._claims.claim()
        assert claim is not None
        with self._timed():
            choices = self._ask(claim.trial.number)
        network = proposed(choices)
        self._claims.propose(claim, choices=choices, architecture=network.to_json(), digest=network.digest)
        self._claims.record_cost(claim, cost(choices))
        self._claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
        with self._timed():
            self._tell(claim.trial.number)
        return 1e3 * self._spent

    def _ask(self, number: int) -> dict[str, str | int]:
        self._history.refresh()
        choices = self._proposer.find(PassedOver(number), lambda: None).choices
        assert choices is not None
        return choices

    def _tell(self, number: int) -> None:
        self._history.refresh()
        self._algorithm.tell(next(t for t in reversed(self._history.trials) if t.number == number))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.process_time()
        yield
        self._spent += time.process_time() - started


def markdown(found: Sequence[Speed]) -> str:
    """A line for each algorithm: the median of ask and tell, and in brackets the first ask of a worker."""
    counts = sorted({speed.trials for speed in found})
    lines = [
        f"| algorithm | {' | '.join(f'{count:,} trials, ms' for count in counts)} |",
        f"| --- | {' | '.join('---:' for _ in counts)} |",
    ]
    for name in dict.fromkeys(speed.contender for speed in found):
        own = {speed.trials: speed for speed in found if speed.contender == name}
        cells = [_cell(own.get(count)) for count in counts]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(speed: Speed | None) -> str:
    return "" if speed is None else f"{speed.median_ms:.1f} ({speed.first_ms:,.0f})"


if __name__ == "__main__":
    main()

"""Runs: one contender's search with one seed, kept in a file so that the benchmark may be interrupted."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from benchmarks.search.contenders import MOST_TRIALS, Contender
from benchmarks.search.targets import Target


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        table: what was searched.
        objectives: by which.
        contender: by whom.
        seed: with which seed.
        trials: how many networks it was to train.
        workers: how many searched at once.
        shares: of the whole hypervolume, after each trial.
        top: how many trials it took to one of the most accurate networks; None where it found none.
        seconds: of the processor.
    """

    table: str
    objectives: tuple[str, ...]
    contender: str
    seed: int
    trials: int
    workers: int
    shares: tuple[float, ...]
    top: int | None
    seconds: float

    @property
    def key(self) -> tuple[object, ...]:
        """What is the same for a run that need not be done again."""
        return self.table, self.objectives, self.contender, self.seed, self.trials, self.workers


def run(target: Target, name: str, contender: Contender, *, seed: int, trials: int, workers: int = 1) -> Run:
    """Search once. Where a contender ends early, what it has found by then stays."""
    most = min(trials, MOST_TRIALS.get(name, trials))
    started = time.process_time()
    networks = [known.figures for known in islice(contender(target, seed, most, workers), most)]
    seconds = time.process_time() - started
    found = [round(float(share), 5) for share in target.shares(networks)]
    shares = (*found, *[found[-1]] * (most - len(found)))
    top = next((n for n, figures in enumerate(networks, start=1) if target.is_top(figures)), None)
    return Run(target.name, target.objectives, name, seed, trials, workers, shares, top, round(seconds, 2))


def kept(path: Path) -> Iterator[Run]:
    """The runs in a file; none where it is not there."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            lists = {name: tuple(fields[name]) for name in ("objectives", "shares")}
            yield Run(**{**fields, **lists})


def keep(path: Path, found: Run) -> None:
    """Append a run to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(found)) + "\n")


def grouped(runs: Iterable[Run]) -> dict[tuple[str, tuple[str, ...]], dict[str, list[Run]]]:
    """Runs by table and objectives, and there by contender."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, list[Run]]] = {}
    for each in runs:
        found.setdefault((each.table, each.objectives), {}).setdefault(each.contender, []).append(each)
    return found

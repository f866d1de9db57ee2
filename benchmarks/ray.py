"""``python -m benchmarks.ray``: what Ray adds to a trial, and how much more two workers get done than one."""

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import click

import nas
from nas.ledger import Ledger, TrialState

PLUGIN = '''"""Networks that are numbers, and an evaluator that keeps one CPU busy."""

import time

import nas
from search_spaces.search_space import SearchSpace, spaces


class Number:
    def __init__(self, value):
        self.digest = str(value)

    def to_json(self):
        return self.digest


class Numbers(SearchSpace):
    name = "bench-numbers"

    def propose(self, choose):
        return Number(choose("value", tuple(range(10_000))))


spaces.add("bench-numbers", Numbers())


@nas.evaluator("bench-busy")
def busy(number, budget, report):
    total = 0
    for step in range(1, budget + 1):
        time.sleep(WAITS)
        for index in range(LOOPS):
            total += index * index % 7
        report(step, {"accuracy": 0.5})
    return {"accuracy": 0.5}
'''
STEPS = 1
"""What a later step takes has the driver's answer in it, which is Ray's."""
STARTED = 4
"""So many trials are left out at the beginning of a search: processes start, torch is imported."""


@dataclass(frozen=True)
class Found:
    """What a trial took, after the first: seconds between two ends, and what of them is no evaluation."""

    seconds_a_trial: float
    overhead_s: float


def measure(folder: Path, plugin: Path, workers: int, trials: int) -> Found:
    """One search by so many workers, on a cluster of this machine alone."""
    storage = f"sqlite:///{folder}/{workers}.db"
    nas.search(
        space="bench-numbers",
        evaluator="bench-busy",
        objectives=["accuracy"],
        sampler="random",
        trials=trials,
        epochs=STEPS,
        executor="ray",
        workers=workers,
        storage=storage,
        name="bench",
        plugins=plugin,
        progress=False,
    )
    with Ledger.open(storage) as ledger:
        complete = [t for t in ledger.trials("bench") if t.state is TrialState.COMPLETE and t.finished_at]
        ended = sorted((t.finished_at.timestamp(), t.number) for t in complete)
        busy = {number: sum(e.seconds for e in ledger.epochs("bench", number)) for _, number in ended}
    times = [time for time, _ in ended]
    gaps = [after - before for before, after in pairwise(times)][STARTED - 1 :]
    evaluating = [busy[number] for _, number in ended[STARTED:]]
    overheads = [gap * workers - seconds for gap, seconds in zip(gaps, evaluating, strict=True)]
    return Found((times[-1] - times[STARTED - 1]) / len(gaps), median(overheads))


@click.command()
@click.option("--trials", default=24, show_default=True, help="How many trials a search has.")
@click.option("--loops", default=8_000_000, show_default=True, help="How long one takes.")
@click.option(
    "--waits", default=0.0, show_default=True, help="Seconds that one only waits, for a busy machine."
)
@click.option("--rounds", default=2, show_default=True, help="How often one worker and two take turns.")
def main(trials: int, loops: int, waits: float, rounds: int) -> None:
    """Search by one worker and by two, in turn, and print both, and what one is to the other."""
    ratios, overheads = [], []
    with tempfile.TemporaryDirectory() as name:
        plugin = Path(name) / "busy.py"  # one file: a process registers its names once
        text = PLUGIN.replace("LOOPS", str(loops // STEPS)).replace("WAITS", str(waits / STEPS))
        plugin.write_text(text, encoding="utf-8")
        for number in range(rounds):
            folder = Path(name) / str(number)
            folder.mkdir()
            one, two = (measure(folder, plugin, workers, trials) for workers in (1, 2))
            ratios.append(one.seconds_a_trial / two.seconds_a_trial)
            overheads.append(one.overhead_s)
            print(
                f"one worker: {one.seconds_a_trial:.2f} s a trial, of which {one.overhead_s:.2f} s are Ray's"
            )
            print(f"two workers: {two.seconds_a_trial:.2f} s a trial, {ratios[-1]:.2f} times as many")
    print(
        f"median: {median(overheads):.2f} s of overhead a trial, two workers {median(ratios):.2f} times one"
    )


if __name__ == "__main__":
    main()

"""What a search loses by measuring only what its front needs: the same search with every kernel measured.

``python -m benchmarks.measuring --space tiny --data digits`` runs both with the same seed, at random, in a
ledger of its own for each, and compares the fronts, the seconds of measuring, and the stated intervals.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from nas.ledger import Ledger, TrialRecord

Point = tuple[float, float]


def hypervolume(points: list[Point], worst: Point) -> float:
    """The area that points of (accuracy, log latency) dominate, down to the worst of both."""
    area, floor = 0.0, worst[0]
    for accuracy, latency in sorted(points, key=lambda p: (p[1], -p[0])):
        if accuracy > floor and latency < worst[1]:
            area += (accuracy - floor) * (worst[1] - latency)
            floor = accuracy
    return area


def search(
    folder: Path, how: str, options: list[str]
) -> tuple[list[TrialRecord], list[TrialRecord], dict[str, float]]:
    """The trials and the front of a search, and its seconds: in all, of training, of measuring."""
    storage = f"sqlite:///{folder / how}.db"
    words = [
        "search",
        "--name",
        "race",
        "--sampler",
        "random",
        "--measure",
        how,
        "--storage",
        storage,
        *options,
    ]
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "nas.cli.main", *words], check=True, capture_output=True)
    seconds = time.monotonic() - started
    with Ledger.open(storage) as ledger:
        trials = ledger.trials("race")
        measured = sum(trial.measuring_s or 0.0 for trial in trials)
        spent = {"wall": seconds, "training": ledger.training_seconds("race"), "measuring": measured}
        return trials, ledger.front("race"), spent


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(options: tuple[str, ...]) -> None:
    """OPTIONS are those of ``nas search``, but its name, sampler and storage."""
    import math

    with tempfile.TemporaryDirectory() as folder:
        everything, best, all_s = search(Path(folder), "all", list(options))
        some, found, some_s = search(Path(folder), "front", list(options))
    truth = {trial.number: float(trial.latency_ms or 0.0) for trial in everything if trial.latency_ms}
    worst = (0.0, max(map(math.log, truth.values())))
    # both fronts by the latencies of the search that measured all: noise of two measurements is no loss
    volumes = {
        name: hypervolume([(t.accuracy or 0.0, math.log(truth[t.number])) for t in front], worst)
        for name, front in (("all", best), ("front", found))
    }
    timed = [t for t in found if t.measured_latency_ms and t.latency_low_ms and t.latency_high_ms]
    held = [t for t in timed if t.latency_low_ms <= t.measured_latency_ms <= t.latency_high_ms]
    guessed = [t for t in some if t.estimated and t.latency_low_ms and t.number in truth]
    right = [t for t in guessed if t.latency_low_ms <= truth[t.number] <= t.latency_high_ms]
    result = {
        "hypervolume of the front, as a share of that with everything measured": volumes["front"]
        / volumes["all"],
        "members, everything measured": sorted(t.number for t in best),
        "members, measured for the front": sorted(t.number for t in found),
        "members whose measured latency is in the stated interval": f"{len(held)} of {len(timed)}",
        "estimates whose interval holds the sum of measured kernels": f"{len(right)} of {len(guessed)}",
        "seconds, everything measured": all_s,
        "seconds, measured for the front": some_s,
    }
    click.echo(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

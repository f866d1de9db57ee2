"""``python -m benchmarks.search.stopping``: what early epochs tell of the last, and what pruners save."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, pstdev

import click
import numpy as np

from benchmarks.search import page
from benchmarks.search.simulated import Curves, simulate
from benchmarks.search.tables import Network, read
from benchmarks.search.train_cifar import EPOCHS, SMALL_CIFAR, TABLE
from nas import seeds
from nas.algorithms.hypervolume import hypervolume, hypervolume_history
from nas.algorithms.pruners import pruners
from nas.ledger.records import SearchConfig
from nas.rungs import rungs

FURTHER = (2, 6, 18)
"""Epochs that are told beside the rungs."""
ALL, PAUSED = "one-cycle", "rungs"
"""The schedules of trainings to the end, and of those that may pause."""
CONFIG = SearchConfig("cifar", "cifar10", "local", trials=1, epochs=EPOCHS, objectives=("accuracy", "size"))
REACHED = 0.99
"""Of the hypervolume of all networks, trained to the end."""


@cache
def recorded() -> dict[str, list[Network]]:
    """The curves of the table by schedule; in both, the same place is the same network."""
    found: dict[str, dict[tuple[object, ...], Network]] = {}
    for network in read(TABLE, SMALL_CIFAR):
        found.setdefault(network.schedule, {})[tuple(network.choices.items())] = network
    both = set.intersection(*(set(networks) for networks in found.values()))
    first = next(iter(found.values()))
    order = [choices for choices in first if choices in both]
    return {schedule: [networks[choices] for choices in order] for schedule, networks in found.items()}


def tau(early: Sequence[float], late: Sequence[float]) -> float:
    """Kendall's rank correlation, ties counted as tau-b does."""
    from scipy.stats import kendalltau

    return float(kendalltau(early, late).statistic)


def ranks(curves: dict[str, list[Network]]) -> str:
    """Tau of each epoch's accuracies with the last ones of either schedule."""
    epochs = sorted({*rungs(EPOCHS), *FURTHER} - {EPOCHS})
    heads = ["schedule", "ranks of", *(f"epoch {epoch}" for epoch in epochs), f"epoch {EPOCHS}"]
    lines = [f"| {' | '.join(heads)} |", f"| --- | --- | {' | '.join('---:' for _ in heads[2:])} |"]
    for schedule, networks in curves.items():
        for judged, others in curves.items():
            late = [network.accuracy for network in others]
            cells = [
                f"{tau([network.curve[epoch - 1] for network in networks], late):.2f}"
                for epoch in (*epochs, EPOCHS)
            ]
            lines.append(f"| `{schedule}` | the end of `{judged}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def endings(curves: dict[str, list[Network]]) -> str:
    """Mean and spread of the last accuracies by schedule, one sentence."""
    told = []
    for schedule, networks in curves.items():
        last = [network.accuracy for network in networks]
        told.append(f"{fmean(last):.1%} (deviation {pstdev(last):.1%}, best {max(last):.1%}) by `{schedule}`")
    return f"{len(curves[ALL])} networks; in the end {' and '.join(told)}."


def savings(curves: dict[str, list[Network]], seeds_: int) -> str:
    """What each pruner spends and reaches, the mean of searches of all networks in as many orders."""
    heads = [
        "pruner",
        "schedule",
        "epochs",
        "fewer, times",
        "hypervolume",
        "worst",
        f"epochs to {REACHED:.0%}",
    ]
    lines = [f"| {' | '.join(heads)} |", f"| --- | --- | {' | '.join('---:' for _ in heads[2:])} |"]
    every = len(curves[ALL]) * EPOCHS
    for name in pruners:
        schedule = PAUSED if pruners.get(name)(CONFIG).pauses else ALL
        found = [_searched(curves, name, schedule, seed) for seed in range(seeds_)]
        spent, shares, needed = (np.array(column, float) for column in zip(*found, strict=True))
        reached = (
            f"{needed.mean():,.0f}" if np.isfinite(needed).all() else f"{np.isfinite(needed).mean():.0%} do"
        )
        cells = f"{spent.mean():,.0f} | {every / spent.mean():.2f} | {shares.mean():.3f} | {shares.min():.3f}"
        lines.append(f"| `{name}` | `{schedule}` | {cells} | {reached} |")
    return "\n".join(lines)


def _searched(curves: dict[str, list[Network]], name: str, schedule: str, seed: int) -> tuple[float, ...]:
    """Epochs in all, the share of the hypervolume in the end, and the epochs until it was ``REACHED``."""
    order = np.random.default_rng(seeds.derive(seed, seeds.PROPOSE)).permutation(len(curves[schedule]))
    losses = Losses(curves)
    ended = list(simulate(losses.of(curves[schedule], order), pruners.get(name)(CONFIG)))
    complete = [each for each in ended if each.is_complete]
    points = [losses.end(curves[schedule][order[each.number]]) for each in complete]
    shares = hypervolume_history(points, (1.0, 1.0)) / losses.full
    reached = (each.spent for each, share in zip(complete, shares, strict=True) if share >= REACHED)
    return float(ended[-1].spent), float(shares[-1]), float(next(reached, np.inf))


class Losses:
    """Accuracy and size, each scaled to 0 (the best of all networks trained to the end) to 1 (the worst)."""

    def __init__(self, curves: dict[str, list[Network]]) -> None:
        raw = np.array([(-network.accuracy, network.size_kb) for network in curves[ALL]])
        self._low, self._span = raw.min(axis=0), raw.max(axis=0) - raw.min(axis=0)
        self.full = hypervolume([self.end(network) for network in curves[ALL]], (1.0, 1.0))

    def end(self, network: Network) -> tuple[float, float]:
        """After the last epoch."""
        return self._at(network, EPOCHS)

    def of(self, networks: Sequence[Network], order: Sequence[int]) -> Curves:
        """After each epoch, of networks in an order."""
        return [[self._at(networks[place], epoch) for epoch in range(1, EPOCHS + 1)] for place in order]

    def _at(self, network: Network, epoch: int) -> tuple[float, float]:
        accuracy, size = (np.array((-network.curve[epoch - 1], network.size_kb)) - self._low) / self._span
        return float(accuracy), float(size)


@click.command()
@click.option("--seeds", "seeds_", default=10, help="Orders in which the networks are tried.")
@click.option("--docs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The page.")
def main(seeds_: int, docs: Path | None) -> None:
    """Print how well ranks after early epochs predict those after the last, and what pruners save."""
    curves = recorded()
    told = f"{endings(curves)}\n\n{ranks(curves)}\n\n{savings(curves, seeds_)}"
    click.echo(told)
    if docs is not None:
        page.write_block(docs, "stopping", f"{page.told_by('make bench-search')}\n\n{told}")


if __name__ == "__main__":
    main()

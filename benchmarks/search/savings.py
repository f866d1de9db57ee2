"""``python -m benchmarks.search.savings``: what pruners save, on curves of CIFAR-10 that were recorded."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt

from benchmarks.blocks import write_block
from benchmarks.search.simulated import Curves, Simulation
from benchmarks.search.tables import Network
from nas import seeds
from nas.algorithms.hypervolume import hypervolume, hypervolume_history
from nas.algorithms.pruners import pruners
from nas.ledger.records import SearchConfig

ALL, PAUSED = "one-cycle", "rungs"
"""The schedules of trainings to the end, and of those that may pause."""
COSTS = {"size": "size_kb", "macs": "macs"}
CLOSE = 0.99
"""Of a hypervolume: as good."""
SHARES = (1 / 3, 2 / 3, 1.0)
"""Of the networks, that training all to the end is looked at after."""


class Search(NamedTuple):
    """The hypervolume of the networks that were trained to the end, after so many epochs in all."""

    spent: npt.NDArray[np.float64]
    reached: npt.NDArray[np.float64]

    def epochs_to(self, hypervolume: float) -> float:
        """Epochs in all until it was reached; infinite where it never was."""
        found = np.flatnonzero(self.reached >= hypervolume)
        return float(self.spent[found[0]]) if len(found) else float("inf")


class Losses:
    """Accuracy and costs, each scaled to 0 (the best of all networks trained to the end) to 1 (the worst)."""

    def __init__(self, networks: dict[str, list[Network]], costs: Sequence[str]) -> None:
        self._costs = [COSTS[name] for name in costs]
        raw = np.array([self._raw(each, -1) for each in networks[ALL]])
        self._low, self._span = raw.min(axis=0), np.ptp(raw, axis=0)
        self.worst = np.ones(raw.shape[1])
        self.full = hypervolume([self.at(each, -1) for each in networks[ALL]], self.worst)

    def _raw(self, network: Network, place: int) -> tuple[float, ...]:
        return (-network.curve[place], *(float(np.log(getattr(network, cost))) for cost in self._costs))

    def at(self, network: Network, place: int) -> tuple[float, ...]:
        """After the epoch at a place of the curve."""
        scaled = (np.array(self._raw(network, place)) - self._low) / self._span
        return tuple(scaled.tolist())

    def curves(self, networks: Sequence[Network]) -> Curves:
        """After each epoch."""
        return [[self.at(network, place) for place in range(len(network.curve))] for network in networks]


def evened(networks: dict[str, list[Network]]) -> dict[str, list[Network]]:
    """With the mean of both trainings as the last accuracy of either: what choosing alone loses.

    One training differs from another of the same network by chance, and training all to the end has the best
    of as many chances as there are networks.
    """
    both = [[network.accuracy for network in own] for own in zip(*networks.values(), strict=True)]
    return {
        schedule: [
            replace(network, curve=(*network.curve[:-1], fmean(ends)))
            for network, ends in zip(own, both, strict=True)
        ]
        for schedule, own in networks.items()
    }


def searched(networks: dict[str, list[Network]], losses: Losses, name: str, seed: int) -> Search:
    """A search that tries all networks in the order of a seed; random search, that is."""
    epochs = len(networks[ALL][0].curve)
    pruner = pruners.get(name)(SearchConfig("cifar", "cifar10", "local", trials=1, epochs=epochs))
    own = networks[PAUSED if pruner.pauses else ALL]
    order = np.random.default_rng(seeds.derive(seed, seeds.PROPOSE)).permutation(len(own))
    curves = losses.curves([own[place] for place in order])
    trained = list(Simulation(curves, pruner).run())
    complete = [each for each in trained if each.is_complete]
    reached = hypervolume_history([curves[each.number][-1] for each in complete], losses.worst) / losses.full
    spent = [float(each.spent) for each in complete]
    return Search(np.array([*spent, float(trained[-1].spent)]), np.array([*reached, reached[-1]]))


def markdown(networks: dict[str, list[Network]], costs: Sequence[str], orders: int) -> str:
    """What each pruner spends and reaches, beside training all to the end; means over orders."""
    losses, every = Losses(networks, costs), len(networks[ALL])
    found = {
        name: [searched(networks, losses, name, seed) for seed in range(orders)]
        for name in ("none", "median", "halving", "hyperband")
    }
    heads = ["pruner", "epochs", "fewer", "hypervolume", "worst"]
    heads += [f"as good as {round(share * every)} to the end" for share in SHARES]
    lines = [f"| {' | '.join(heads)} |", f"| --- | {' | '.join('---:' for _ in heads[1:])} |"]
    for name, own in found.items():
        cells = [*_totals(own, found["none"]), *(_fewer(own, found["none"], share) for share in SHARES)]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _totals(own: Sequence[Search], whole: Sequence[Search]) -> list[str]:
    spent = fmean(each.spent[-1] for each in own)
    times = fmean(each.spent[-1] for each in whole) / spent
    ends = [float(each.reached[-1]) for each in own]
    return [f"{spent:,.0f}", f"{times:.1f} times", f"{fmean(ends):.3f}", f"{min(ends):.3f}"]


def _fewer(own: Sequence[Search], whole: Sequence[Search], share: float) -> str:
    """How many times fewer epochs it needs for what training some to the end reaches, within 1 %."""
    times = []
    for mine, other in zip(own, whole, strict=True):
        place = max(0, round(share * (len(other.spent) - 1)) - 1)
        times.append(other.spent[place] / mine.epochs_to(CLOSE * other.reached[place]))
    reached = [each for each in times if each > 0]
    if 2 * len(reached) < len(times):
        return f"never in {len(times) - len(reached)} of {len(times)}"
    never = "" if len(reached) == len(times) else f", {len(times) - len(reached)} of {len(times)} never"
    return f"{np.median(reached):.1f} times{never}"


@click.command()
@click.option("--orders", default=10, help="Orders in which the networks are tried.")
@click.option("--docs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The page.")
def main(orders: int, docs: Path | None) -> None:
    """Print what each pruner spends and reaches, with size as the cost, and with operations beside it."""
    from benchmarks.search import page
    from benchmarks.search.stopping import recorded

    curves = recorded()
    tables = [
        f"**accuracy, {', '.join(costs)}**, judged by {by}:\n\n{markdown(judged, costs, orders)}"
        for costs in (("size",), ("size", "macs"))
        for by, judged in (("its own training", curves), ("the mean of both trainings", evened(curves)))
    ]
    told = "\n\n".join(tables)
    click.echo(told)
    if docs is not None:
        write_block(docs, "savings", f"{page.told_by('python -m benchmarks.search.savings')}\n\n{told}")


if __name__ == "__main__":
    main()

"""``python -m benchmarks.search.stopping``: what early epochs tell of the last, on curves of CIFAR-10."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, pstdev

import click

from benchmarks.blocks import write_block
from benchmarks.search import page
from benchmarks.search.tables import Network, read
from benchmarks.search.train_cifar import EPOCHS, SMALL_CIFAR, TABLE
from nas.rungs import rungs

FURTHER = (2, 6, 18)
"""Epochs that are told beside the rungs."""


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


def markdown(curves: dict[str, list[Network]]) -> str:
    """Tau of each epoch's accuracies with the last ones of either schedule; and what they are in the end."""
    epochs = sorted({*rungs(EPOCHS), *FURTHER} - {EPOCHS})
    heads = ["schedule", "ranks of", *(f"epoch {epoch}" for epoch in epochs), "epoch 27"]
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
    return f"{len(next(iter(curves.values())))} networks; in the end {' and '.join(told)}."


@click.command()
@click.option("--docs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The page.")
def main(docs: Path | None) -> None:
    """Print how well ranks after early epochs predict those after the last."""
    told = f"{endings(recorded())}\n\n{markdown(recorded())}"
    click.echo(told)
    if docs is not None:
        write_block(docs, "stopping", f"{page.told_by('python -m benchmarks.search.stopping')}\n\n{told}")


if __name__ == "__main__":
    main()

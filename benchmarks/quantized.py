"""``python -m benchmarks.quantized``: memory and latency of networks by the bits of their weights and inputs.

The networks are those of figures 3 and 4 of Roth et al., *Resource-Efficient Neural Networks for Embedded
Systems*. Nothing is trained: weights are random, and inputs have been seen once. Their errors are those of
``benchmarks.reproduce``, which trains them. The processor's time counts, which other work changes least.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import click
import numpy as np
import torch

import runtime
import search_spaces
from benchmarks import ours
from benchmarks.command import Command, require_runs
from benchmarks.race import Effort, by_processor, calls, race
from runtime import CompiledNetwork

SHAPE = (1, 3, 32, 32)
LEVELS = tuple(f"lq{bits}" for bits in (1, 2, 3))


@dataclass(frozen=True)
class Figure:
    """A network in several precisions, the first of which is what the others are compared with."""

    network: str
    classes: int
    precisions: tuple[str, ...]


FIGURES = {
    "3": Figure(
        "resnet32", 10, ("float", *(f"dorefa{bits}" for bits in (16, 8, 4, 2, 1)), "int8", "binary", *LEVELS)
    ),
    "4": Figure(
        "densenet-bc-100",
        100,
        ("float", *LEVELS, *(f"{name}-float" for name in LEVELS), *(f"float-{name}" for name in LEVELS)),
    ),
}


def compiled(figure: Figure, precision: str, target: str) -> tuple[CompiledNetwork, search_spaces.Size]:
    """The network in a precision, for one image on one thread, and what it stores."""
    torch.manual_seed(0)
    module = ours.settled(search_spaces.network(figure.network, precision, figure.classes), SHAPE)
    return runtime.compile(module, SHAPE, target=target), search_spaces.size(module)


def lines(figure: Figure, effort: Effort, chosen: tuple[str, ...] = ()) -> Iterator[str]:
    """The table in Markdown, of the precisions that are chosen, or of all."""
    names = [name for name in figure.precisions if not chosen or name in chosen]
    made = {name: compiled(figure, name, effort.target) for name in names}
    image = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    contenders = {name: by_processor(calls(partial(each.run, image))) for name, (each, _) in made.items()}
    found = race(contenders, effort)
    yield "| precision | weights, kB | all, kB | in memory, kB | less memory | latency, ms | speed-up |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    first = memory(made[names[0]][0]), found[names[0]]
    for name, (network, size) in made.items():
        own, ms = memory(network), found[name]
        sizes = f"{size.weight_bytes / 1000:.1f} | {size.kilobytes:.1f} | {own / 1000:.0f}"
        yield f"| `{name}` | {sizes} | {first[0] / own:.1f}x | {ms:.3f} | {first[1] / ms:.1f}x |"


def memory(network: CompiledNetwork) -> int:
    """Bytes that it needs as it runs: of constants and of the workspace."""
    return network.info.constant_bytes + network.info.workspace_bytes


@click.command(cls=Command)
@click.option("--figure", type=click.Choice(list(FIGURES)), default="3", show_default=True, help="Which.")
@click.option("--network", help="Another one than the figure's, in its precisions and classes.")
@click.option("--precision", "chosen", multiple=True, help="May be given again. All if not given.")
@click.option("--rounds", type=click.IntRange(1), default=31, show_default=True, help="Turns of each.")
@click.option("--target", default="native", show_default=True, help="What networks are compiled for.")
@click.option("--least", is_flag=True, help="The least of turns in place of medians, where other work runs.")
def main(
    figure: str, network: str | None, chosen: tuple[str, ...], rounds: int, target: str, least: bool
) -> None:
    """Print what a network takes in each precision; latencies are medians of turns."""
    require_runs(target)
    shown = replace(FIGURES[figure], network=network or FIGURES[figure].network)
    for line in lines(shown, Effort(rounds, target=target, least=least), chosen):
        print(line, flush=True)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.products``: products of square matrices, of signs beside float32, on one thread.

This is table 2 of Roth et al., *Resource-Efficient Neural Networks for Embedded Systems*, on this machine.
Signs are packed before: what is timed is the product, and the sums of signs as floats. The processor's time
counts, which other work on the machine changes least.
"""

from collections.abc import Iterator

import click
import torch

from benchmarks import ours
from benchmarks.command import Command, require_runs
from benchmarks.race import Effort, Run, by_processor, calls, race
from runtime.workload import BitserialDense, Dense, Workload

SIZES = (256, 513, 1024, 2048)
PRINTED = {256: 8.7, 513: 11.7, 1024: 13.4, 2048: 13.1}
"""The paper's speed-ups on an ARM Cortex-A57, by size."""


def times(size: int, effort: Effort) -> dict[str, float]:
    """Milliseconds of a product of two matrices of ``size`` rows and columns: of signs, and of floats."""
    left, right = (torch.randn(size, size, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    out = torch.empty(size, size)
    contenders = {
        "binary": _kernel(BitserialDense(size, size, size, "binary"), effort.target),
        "float": _kernel(Dense(size, size, size, "float", "float"), effort.target),
        "torch": by_processor(calls(lambda: torch.mm(left, right, out=out))),
    }
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return race(contenders, effort)
    finally:
        torch.set_num_threads(before)


def _kernel(workload: Workload, target: str) -> Run:
    return by_processor(ours.kernel_for_target(workload, target), warming=1)


def lines(sizes: tuple[int, ...], effort: Effort) -> Iterator[str]:
    """The table in Markdown."""
    yield "| size | binary, ms | float, ms | float by torch, ms | speed-up | over torch | paper, on ARM |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for size in sizes:
        found = times(size, effort)
        binary, own, torchs = (found[name] for name in ("binary", "float", "torch"))
        ratios = f"{own / binary:.1f} | {torchs / binary:.1f} | {PRINTED.get(size, '')}"
        yield f"| {size} | {binary:.3f} | {own:.3f} | {torchs:.3f} | {ratios} |"


@click.command(cls=Command)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(1, 8192),
    multiple=True,
    default=SIZES,
    show_default=True,
    help="Rows and columns; may be given again.",
)
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="Turns of each.")
@click.option("--target", default="native", show_default=True, help="What ours are compiled for.")
@click.option("--least", is_flag=True, help="The least of turns in place of medians, where other work runs.")
def main(sizes: tuple[int, ...], rounds: int, target: str, least: bool) -> None:
    """Print how long products of matrices take; medians of turns."""
    require_runs(target)
    for line in lines(sizes, Effort(rounds, target=target, least=least)):
        print(line, flush=True)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.channels``: the cost of channels and rows that fill no vectors and no tiles."""

from collections.abc import Callable, Iterable
from functools import partial

import click

from benchmarks.command import Command, require_runs
from benchmarks.ours import kernel_for_target
from benchmarks.race import Effort, Run, race
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import VECTOR
from runtime.target import cpu_of
from runtime.workload import BitserialConv2d, Conv2d, DepthwiseConv2d, Workload

COUNTS = (17, 24, 33, 65, 66, 72, 100, 129, 250)
ROWS = (53, 56)
GROUPS = (4, 5, 6, 7, 8, 9, 10, 12, 15)
"""Channels of a group, as many as come in."""
CHANNELS = 64
"""That come in, and that the dense kernels beside groups have."""
SCREEN = 3.0
"""Milliseconds for which a schedule is timed before the fastest races."""


def workload(code: str, side: int, outputs: int, groups: int = 1) -> Workload:
    """A 3x3 convolution with padding, of as many channels as come out where there are groups."""
    window = (1, side, side, 3, 1, 1)
    channels = (CHANNELS if groups == 1 else outputs, outputs, groups)
    made: dict[str, Callable[[], Workload]] = {
        "float": lambda: Conv2d(*window, *channels, "float", "float"),
        "int8": lambda: Conv2d(*window, *channels, "int8", "uint8"),
        "binary": lambda: BitserialConv2d(*window, *channels, "binary"),
        "bits": lambda: BitserialConv2d(*window, *channels, "binary", output="binary"),
        "depthwise float": lambda: DepthwiseConv2d(*window, outputs, "float", "float"),
        "depthwise int8": lambda: DepthwiseConv2d(*window, outputs, "int8", "uint8"),
    }
    return made[code]()


def fastest(work: Workload, target: str, schedules: int) -> Run:
    """The fastest of a kernel's most promising schedules."""
    names = [str(tile) for tile in kernel_for(work).tiles(work, cpu_of(target))[:schedules]]
    runs = {name: kernel_for_target(work, target, name) for name in names}
    times = race(runs, Effort(3, SCREEN))
    return runs[min(times, key=lambda name: times[name])]


def raced(works: Iterable[Workload], target: str, schedules: int, effort: Effort) -> dict[Workload, float]:
    """Milliseconds of each."""
    named = {work.key: work for work in works}
    times = race({key: fastest(work, target, schedules) for key, work in named.items()}, effort)
    return {work: times[key] for key, work in named.items()}


def next_multiple(count: int) -> int:
    """Of the lanes of a vector."""
    return -(-count // VECTOR) * VECTOR


def count_ratios(code: str, time_all: Callable[..., dict[Workload, float]], side: int) -> dict[int, float]:
    """Time for each channel, beside that of the next multiple of 16."""
    counts = sorted({*COUNTS, *map(next_multiple, COUNTS)})
    times = time_all(workload(code, side, count) for count in counts)
    each = {count: times[workload(code, side, count)] / count for count in counts}
    return {count: each[count] / each[next_multiple(count)] for count in COUNTS}


def row_ratio(code: str, time_all: Callable[..., dict[Workload, float]]) -> float:
    """Time for each pixel of rows of 53, beside that of 56."""
    times = time_all(workload(code, side, CHANNELS) for side in ROWS)
    odd, even = (times[workload(code, side, CHANNELS)] / side**2 for side in ROWS)
    return odd / even


def group_speeds(code: str, time_all: Callable[..., dict[Workload, float]], side: int) -> dict[int, float]:
    """Products a second by channels of a group, beside those of a dense kernel of 64 channels."""
    dense = workload(code, side, CHANNELS)
    grouped = {size: workload(code, side, CHANNELS // size * size, CHANNELS // size) for size in GROUPS}
    times = time_all([dense, *grouped.values()])
    speed = {work: kernel_for(work).macs(work) / ms for work, ms in times.items()}
    return {size: speed[work] / speed[dense] for size, work in grouped.items()}


PARTS = ("counts", "rows", "groups")


@click.command(cls=Command)
@click.option("--target", "targets", multiple=True, default=("native", "x86-64-v3"), show_default=True)
@click.option("--side", type=click.IntRange(4), default=28, show_default=True, help="Pixels, but for rows.")
@click.option("--schedules", type=click.IntRange(1), default=4, show_default=True, help="Compiled of each.")
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True, help="Turns of each.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    default=PARTS,
    show_default=True,
    help="What to time.",
)
def main(targets: tuple[str, ...], side: int, schedules: int, rounds: int, parts: tuple[str, ...]) -> None:
    """Time 3x3 convolutions in turns, on one thread: by output channels, in rows of 53 pixels, in groups."""
    for target in targets:
        require_runs(target)
        time_all = partial(raced, target=target, schedules=schedules, effort=Effort(rounds, 5.0))
        codes = ("float", "int8", "binary", "bits", "depthwise float", "depthwise int8")
        for code in codes:
            if "counts" in parts:
                _tell(target, code, "a channel, beside the next 16", count_ratios(code, time_all, side))
            if "rows" in parts:
                _tell(target, code, "a pixel, beside rows of 56", {ROWS[0]: row_ratio(code, time_all)})
            if "groups" in parts and code in ("float", "int8", "binary"):
                _tell(target, code, "groups, speed beside dense", group_speeds(code, time_all, side))


def _tell(target: str, code: str, what: str, found: dict[int, float]) -> None:
    told = ", ".join(f"{name}: {value:.2f}" for name, value in found.items())
    click.echo(f"{target} {code}, {what}: {told}")


if __name__ == "__main__":
    main()
